//! Which blocks a file has: extent trees and block maps.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use zerocopy::{FromBytes, IntoBytes};

use super::Ext;
use super::inode::Inode;
use crate::fs::ext4::ondisk::{Extent, ExtentHeader, ExtentIdx};
use crate::volume::contents::Contents;
use crate::volume::node::Kind;
use crate::volume::runs::Run;

/// The most levels of an extent tree below its root (`EXT4_MAX_EXTENT_DEPTH`).
const MOST_LEVELS: u16 = 5;

/// The most runs of a file: 48 MiB of memory. A file of so many pieces has more than 8 GiB.
const MOST_RUNS: usize = 2 << 20;

/// Blocks of a file are counted with 32 bits.
const MOST_BLOCKS: u64 = 1 << 32;

/// Direct blocks in a block map; the three entries after them are maps of one to three levels.
const DIRECT: usize = 12;

/// The length of `i_block` in bytes, in which short targets of symbolic links are.
const INLINE: u64 = 60;

/// What a file consists of.
#[derive(Default)]
pub struct Blocks {
    /// Its runs, in the order of the file.
    pub runs: Vec<Run>,
    /// The blocks of the tree or map itself.
    pub maps: BTreeSet<u64>,
}

/// The length of the longest file that an extent tree or a block map can describe, in bytes.
fn longest(ext: &Ext<'_>, has_extents: bool) -> u64 {
    let block = ext.geometry.block;
    let blocks = match has_extents {
        true => u64::MAX,
        // usize to u64: lossless on every target Rust has.
        false => (1..=3).fold(DIRECT as u64, |blocks, level| {
            blocks.saturating_add((block / 4).saturating_pow(level))
        }),
    };
    blocks.min(MOST_BLOCKS).saturating_mul(block)
}

/// The contents of the file or symbolic link `inode`, which has this number.
///
/// # Errors
/// If they are damaged.
pub fn contents(ext: &Ext<'_>, inode: &Inode, number: u64) -> Result<Contents> {
    let size = inode.size();
    if inode.kind() == Kind::Symlink && size < INLINE && !inode.has_extents() {
        let target = &inode.fields.i_block.as_bytes()[..usize::try_from(size)?];
        return Ok(Contents::Inline(target.to_vec()));
    }
    let longest = longest(ext, inode.has_extents());
    ensure!(
        size <= longest,
        "its length is {size} bytes, but it can have at most {longest}: the file system is damaged"
    );
    let blocks = blocks(ext, inode, number)?;
    Ok(Contents::Runs {
        size,
        runs: blocks.runs,
    })
}

/// The blocks of `inode`, which has this number and is a file, a directory or a symbolic link.
///
/// # Errors
/// If they are damaged.
pub fn blocks(ext: &Ext<'_>, inode: &Inode, number: u64) -> Result<Blocks> {
    let mut walk = Walk {
        ext,
        blocks: Blocks::default(),
        next: 0,
    };
    if inode.has_extents() {
        let root = inode.fields.i_block.as_bytes();
        walk.node(root, None)
            .with_context(|| format!("reading the extent tree of inode {number}"))?;
    } else {
        walk.map(inode)
            .with_context(|| format!("reading the block map of inode {number}"))?;
    }
    Ok(walk.blocks)
}

/// A walk through a tree or map.
struct Walk<'a> {
    ext: &'a Ext<'a>,
    blocks: Blocks,
    /// The first block of the file that may follow.
    next: u64,
}

impl Walk<'_> {
    /// Adds `count` blocks of the file from block `at` on, which are stored from block `place` on.
    fn add(&mut self, at: u64, count: u64, place: Option<u64>) -> Result<()> {
        let geometry = &self.ext.geometry;
        ensure!(
            at >= self.next,
            "block {at} of the file is there twice: the file system is damaged"
        );
        let end = place.map(|place| place.saturating_add(count));
        ensure!(
            place != Some(0) && end.is_none_or(|end| end <= geometry.blocks),
            "block {at} of the file and the {count} from it on are said to be at block {}, but there \
             are {} blocks: the file system is damaged",
            place.unwrap_or_default(),
            geometry.blocks
        );
        self.next = at.saturating_add(count);
        let bytes = |blocks: u64| blocks.saturating_mul(geometry.block);
        let run = Run {
            at: bytes(at),
            length: bytes(count),
            place: place.map(bytes),
        };
        if let Some(last) = self.blocks.runs.last_mut()
            && last.at.saturating_add(last.length) == run.at
            && last.place.map(|place| place.saturating_add(last.length)) == run.place
        {
            last.length = last.length.saturating_add(run.length);
            return Ok(());
        }
        ensure!(
            self.blocks.runs.len() < MOST_RUNS,
            "the file is in more than {MOST_RUNS} pieces"
        );
        self.blocks.runs.push(run);
        Ok(())
    }

    /// Reads a block of the tree or map, once.
    fn visit(&mut self, number: u64) -> Result<Vec<u8>> {
        let block = self.ext.block(number, "a block of the map of a file")?;
        ensure!(
            self.blocks.maps.insert(number),
            "block {number} is in it twice: the file system is damaged"
        );
        Ok(block)
    }

    /// Reads a node of an extent tree, which must have `depth` levels below it, if that is known.
    fn node(&mut self, node: &[u8], depth: Option<u16>) -> Result<()> {
        let (header, rest) = ExtentHeader::read_from_prefix(node)
            .ok()
            .context("a node is too short")?;
        ensure!(
            header.eh_magic == ExtentHeader::MAGIC,
            "a node has no signature: the file system is damaged"
        );
        let levels = header.eh_depth.get();
        ensure!(
            levels <= MOST_LEVELS && depth.is_none_or(|depth| depth == levels),
            "a node claims to have {levels} levels below it: the file system is damaged"
        );
        let entries = usize::from(header.eh_entries.get());
        let size = size_of::<Extent>();
        ensure!(
            entries <= rest.len() / size,
            "a node claims to have {entries} entries: the file system is damaged"
        );
        for entry in rest.chunks_exact(size).take(entries) {
            match levels.checked_sub(1) {
                None => self.leaf(entry)?,
                Some(below) => {
                    let index = ExtentIdx::read_from_bytes(entry)
                        .ok()
                        .context("an entry is too short")?;
                    let high = u64::from(index.ei_leaf_hi.get());
                    let block = self.visit(high << 32 | u64::from(index.ei_leaf_lo.get()))?;
                    self.node(&block, Some(below))?;
                }
            }
        }
        Ok(())
    }

    /// Reads an extent.
    fn leaf(&mut self, entry: &[u8]) -> Result<()> {
        let extent = Extent::read_from_bytes(entry)
            .ok()
            .context("an entry is too short")?;
        let start = u64::from(extent.ee_start_hi.get()) << 32 | u64::from(extent.ee_start_lo.get());
        let length = extent.ee_len.get();
        // Longer ones are reserved for the file, but not written: they are zeros.
        let (length, is_written) = match length.checked_sub(Extent::MAX_LEN) {
            Some(unwritten) if unwritten > 0 => (unwritten, false),
            _ => (length, true),
        };
        ensure!(length > 0, "an extent is empty: the file system is damaged");
        self.add(
            extent.ee_block.get().into(),
            length.into(),
            is_written.then_some(start),
        )
    }

    /// Reads a block map.
    fn map(&mut self, inode: &Inode) -> Result<()> {
        let size = inode.size().div_ceil(self.ext.geometry.block);
        for (at, block) in (0_u64..).zip(&inode.fields.i_block[..DIRECT]) {
            if at < size && block.get() != 0 {
                self.add(at, 1, Some(block.get().into()))?;
            }
        }
        let mut at = 12_u64;
        let per_block = self.ext.geometry.block / 4;
        for (level, block) in (1..).zip(&inode.fields.i_block[DIRECT..]) {
            let covered = per_block.saturating_pow(level);
            if block.get() != 0 && at < size {
                self.indirect(block.get().into(), at, level, size)?;
            }
            at = at.saturating_add(covered);
        }
        Ok(())
    }

    /// Reads a block of a block map with `level` levels, whose first entry is for block `at` of a file of
    /// `size` blocks.
    fn indirect(&mut self, block: u64, at: u64, level: u32, size: u64) -> Result<()> {
        let block = self.visit(block)?;
        let covered = (self.ext.geometry.block / 4).saturating_pow(level.saturating_sub(1));
        let mut at = at;
        for entry in block.chunks_exact(4) {
            if at >= size {
                break;
            }
            let entry = u64::from(u32::from_le_bytes(entry.try_into()?));
            if entry != 0 {
                match level {
                    0 | 1 => self.add(at, 1, Some(entry))?,
                    _ => self.indirect(entry, at, level.saturating_sub(1), size)?,
                }
            }
            at = at.saturating_add(covered);
        }
        Ok(())
    }
}
