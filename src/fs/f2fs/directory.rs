//! Directories: hash tables with several levels of buckets (kernel,
//! Documentation/filesystems/f2fs.rst, "Directory Structure").

use std::collections::BTreeMap;

use super::hash::hash;
use super::nodes::{Run, runs};
use super::ondisk::{DentryBlock, DirEntry, FILE_NAME_SLOT, InlineDentry};
use crate::fs::number::{TooWide, index, le16};
use crate::tree::Directory;
use zerocopy::FromZeros;
use zerocopy::little_endian::U32;

/// Blocks in a bucket.
const BUCKET: u32 = 2;
/// Number of levels. There may be more in f2fs, but not in a file of its maximum length.
const LEVELS: u32 = 28;
/// Blocks below this number have their state in a vector.
const DENSE: u32 = 1 << 16;

/// Returns the number of slots of a name with `length` bytes.
fn slots(length: usize) -> usize {
    length.div_ceil(FILE_NAME_SLOT)
}

/// Returns whether the entries of `directory` fit in its inode.
pub fn fits_inline(directory: &Directory) -> bool {
    // Two slots are for `.` and `..`.
    let mut free = InlineDentry::SLOTS - 2;
    directory.iter().all(|(name, _)| {
        let needed = slots(name.len());
        let fits = needed <= free;
        free = free.saturating_sub(needed);
        fits
    })
}

/// Too many names of a directory have the same hash.
#[derive(Debug, thiserror::Error)]
#[error("too many names have the same hash; f2fs's limit is {LEVELS} levels of {BUCKET} blocks")]
pub struct Full;

/// The number of slots in use in each block. They are always the first ones.
#[derive(Default)]
struct Used {
    dense: Vec<u8>,
    others: BTreeMap<u32, u8>,
    levels: u32,
}

/// The place of an entry.
struct Place {
    block: u32,
    slot: u8,
    hash: u32,
}

impl Used {
    fn new() -> Used {
        Used {
            // `.` and `..`.
            dense: vec![2],
            others: BTreeMap::new(),
            levels: 1,
        }
    }

    fn of(&mut self, block: u32) -> &mut u8 {
        if block >= DENSE {
            return self.others.entry(block).or_default();
        }
        let at = index(u64::from(block));
        if at >= self.dense.len() {
            self.dense.resize(at + 1, 0);
        }
        &mut self.dense[at]
    }

    /// Finds the first block with room for `name`, as the kernel does.
    fn place(&mut self, name: &[u8]) -> Result<Place, Full> {
        let hash = hash(name);
        let needed = slots(name.len());
        for level in 0..LEVELS {
            let buckets = 1u32 << level;
            let first = BUCKET * (buckets - 1) + BUCKET * (hash % buckets);
            for block in first..first + BUCKET {
                let used = self.of(block);
                let slot = *used;
                let end = usize::from(slot) + needed;
                if end > DentryBlock::SLOTS {
                    continue;
                }
                // At most 214.
                *used = u8::try_from(end).unwrap_or(u8::MAX);
                self.levels = self.levels.max(level + 1);
                return Ok(Place { block, slot, hash });
            }
        }
        Err(Full)
    }

    /// Returns the blocks in use.
    fn runs(&self) -> Vec<Run> {
        let dense = (0u64..).zip(&self.dense);
        let others = self
            .others
            .iter()
            .map(|(&block, used)| (u64::from(block), used));
        let used = dense.chain(others).filter(|(_, used)| **used > 0);
        runs(used.map(|(block, _)| block..block + 1))
    }
}

/// The blocks of a directory whose entries are not in its inode.
#[derive(Debug)]
pub struct Table {
    /// The blocks that exist.
    pub runs: Box<[Run]>,
    /// Number of levels.
    pub levels: u32,
}

impl Table {
    /// Places all names of `directory`.
    ///
    /// # Errors
    /// If one has no place.
    pub fn new(directory: &Directory) -> Result<Table, Full> {
        let mut used = Used::new();
        for (name, _) in directory.iter() {
            used.place(name)?;
        }
        Ok(Table {
            runs: used.runs().into(),
            levels: used.levels,
        })
    }
}

/// What a directory entry says about its inode.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its number.
    pub ino: u32,
    /// Its type: `file_type`.
    pub kind: u8,
}

/// The slots of a block or of an inode.
struct Slots<'a> {
    bitmap: &'a mut [u8],
    entries: &'a mut [DirEntry],
    names: &'a mut [[u8; FILE_NAME_SLOT]],
}

impl Slots<'_> {
    fn put(&mut self, slot: usize, name: &[u8], hash: u32, target: Target) -> Result<(), TooWide> {
        self.entries[slot] = DirEntry {
            hash_code: U32::new(hash),
            ino: U32::new(target.ino),
            name_len: le16(name.len())?,
            file_type: target.kind,
        };
        for (at, part) in (slot..).zip(name.chunks(FILE_NAME_SLOT)) {
            self.bitmap[at / 8] |= 1 << (at % 8);
            self.names[at][..part.len()].copy_from_slice(part);
        }
        Ok(())
    }

    fn dots(&mut self, own: Target, parent: Target) -> Result<(), TooWide> {
        self.put(0, b".", 0, own)?;
        self.put(1, b"..", 0, parent)
    }
}

macro_rules! slots {
    ($block:expr) => {
        Slots {
            bitmap: &mut $block.dentry_bitmap,
            entries: &mut $block.dentry,
            names: &mut $block.filename,
        }
    };
}

/// A directory whose entries are to be written.
pub struct Entries<'a> {
    /// The names.
    pub directory: &'a Directory,
    /// The directory itself.
    pub own: Target,
    /// Its parent.
    pub parent: Target,
    /// Returns the inode of the entry with this index.
    pub target: &'a dyn Fn(usize) -> Target,
}

impl Entries<'_> {
    /// Returns the entries for the inode, where they must fit.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn inline(&self) -> Result<InlineDentry, TooWide> {
        let mut block = InlineDentry::new_zeroed();
        let mut out = slots!(block);
        out.dots(self.own, self.parent)?;
        let mut slot = 2;
        for (at, (name, _)) in self.directory.iter().enumerate() {
            out.put(slot, name, hash(name), (self.target)(at))?;
            slot += slots(name.len());
        }
        Ok(block)
    }

    /// Passes the blocks to `emit`, in order.
    ///
    /// # Errors
    /// Those of `emit`, or if a number is too large for its field.
    pub fn blocks(
        &self,
        emit: &mut dyn FnMut(&DentryBlock) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut used = Used::new();
        let mut places = Vec::with_capacity(self.directory.len());
        for (at, (name, _)) in self.directory.iter().enumerate() {
            places.push((used.place(name)?, at));
        }
        places.sort_unstable_by_key(|(place, _)| (place.block, place.slot));
        let mut block = DentryBlock::new_zeroed();
        let mut current = 0;
        slots!(block).dots(self.own, self.parent)?;
        for (place, at) in places {
            if place.block != current {
                emit(&block)?;
                block.zero();
                current = place.block;
            }
            let name = self.directory.nth(at).map_or(&b""[..], |(name, _)| name);
            let slot = usize::from(place.slot);
            slots!(block).put(slot, name, place.hash, (self.target)(at))?;
        }
        emit(&block)
    }
}
