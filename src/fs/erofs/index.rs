//! The compact index of compressed data: an entry of 2 or 4 bytes for each block of the file. Entries
//! come in packs, which end with the number of a block. The format is documented only by its reader
//! (kernel, `z_erofs_load_compact_lcluster` in fs/erofs/zmap.c).

use super::ondisk::{BLOCK_SIZE, ClusterType, MapHeader};

/// Bits of a number in an entry; the type is above them.
const LOW_BITS: u32 = 12;
/// Marks the number of blocks of an extent, which takes the place of a distance.
const BLOCK_COUNT: u32 = 1 << 11;
/// Bytes of a pack with entries of 4 bytes: two.
const SMALL_PACK: usize = 8;
/// Bytes of a pack with entries of 2 bytes: 16. They are aligned to their length.
const LARGE_PACK: usize = 32;

/// The form of an index: how many entries have which length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Number of packs of two before the large ones.
    small_before: u64,
    /// Number of packs of 16.
    large: u64,
    /// Number of packs of two after them.
    small_after: u64,
}

/// A part of a file that is compressed by itself, or not compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Length in the file in bytes. An extent that is not compressed begins at the start of a
    /// block. In other blocks, there is at most one start of an extent.
    pub length: u64,
    /// The number of blocks that it takes when compressed, or `None` if it is not compressed.
    pub compressed: Option<u32>,
}

impl Index {
    /// The index of a file of `size` bytes. `head` is the length of the inode and its attributes.
    pub fn new(size: u64, head: u64) -> Index {
        // usize to u64: lossless on every target Rust has.
        let start = head.next_multiple_of(8) + size_of::<MapHeader>() as u64;
        let entries = size.div_ceil(BLOCK_SIZE);
        let before = (start.next_multiple_of(LARGE_PACK as u64) - start) / 4;
        match entries.checked_sub(before) {
            None => Index {
                small_before: entries.div_ceil(2),
                large: 0,
                small_after: 0,
            },
            Some(rest) => Index {
                small_before: before / 2,
                large: rest / 16,
                small_after: (rest % 16).div_ceil(2),
            },
        }
    }

    /// Returns the length of the header and the entries in bytes.
    pub fn length(&self) -> u64 {
        let small = self.small_before + self.small_after;
        // usize to u64: lossless on every target Rust has.
        size_of::<MapHeader>() as u64 + small * SMALL_PACK as u64 + self.large * LARGE_PACK as u64
    }

    /// Passes the packs to `emit`. The blocks of `extents` of a file of `size` bytes are adjacent,
    /// starting at `block`.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn encode(
        &self,
        extents: impl Iterator<Item = Extent>,
        size: u64,
        block: u32,
        mut emit: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut entries = Entries {
            extents,
            size,
            current: None,
            offset: 0,
            block,
        };
        for _ in 0..self.small_before {
            emit(&pack::<SMALL_PACK>(&mut entries, 2))?;
        }
        for _ in 0..self.large {
            emit(&pack::<LARGE_PACK>(&mut entries, 16))?;
        }
        for _ in 0..self.small_after {
            emit(&pack::<SMALL_PACK>(&mut entries, 2))?;
        }
        Ok(())
    }
}

/// An entry: what is known about a block of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    kind: ClusterType,
    /// Where in the block the extent begins, or the file ends.
    place: u32,
    /// Distance from the first block of the extent.
    distance: u32,
    /// Distance to the next extent.
    ahead: u32,
    /// In the second block of a compressed extent: the number of blocks that it takes.
    count: Option<u32>,
    /// The first of the extent's blocks.
    block: u32,
}

/// The entries of all blocks of a file.
struct Entries<I> {
    extents: I,
    /// The length of the file in bytes.
    size: u64,
    current: Option<Current>,
    /// Where the next extent begins in the file, in bytes.
    offset: u64,
    /// The first block of the next extent.
    block: u32,
}

/// The extent whose entries are next.
struct Current {
    extent: Extent,
    /// Where it begins in the file, in bytes.
    offset: u64,
    /// The first of its blocks.
    block: u32,
    /// The number of the next entry.
    next: u64,
    /// Number of entries.
    count: u64,
}

/// Converts a number of blocks, or of bytes in a block, of a single extent, which is short.
fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl<I: Iterator<Item = Extent>> Entries<I> {
    /// Goes on to the next extent.
    fn advance(&mut self) -> Option<Current> {
        let extent = self.extents.next()?;
        let (offset, block) = (self.offset, self.block);
        self.offset += extent.length;
        // The block in which an extent ends belongs to the next one.
        let end = match self.offset == self.size {
            true => self.size.div_ceil(BLOCK_SIZE),
            false => self.offset / BLOCK_SIZE,
        };
        let count = end - offset / BLOCK_SIZE;
        let taken = extent.compressed.unwrap_or(small(count));
        self.block = block.saturating_add(taken);
        Some(Current {
            extent,
            offset,
            block,
            next: 0,
            count,
        })
    }
}

impl<I: Iterator<Item = Extent>> Iterator for Entries<I> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let is_done = |current: &Current| current.next == current.count;
        if self.current.as_ref().is_none_or(is_done) {
            self.current = Some(self.advance()?);
        }
        let current = self.current.as_mut()?;
        let at = current.next;
        current.next += 1;
        let mut entry = Entry {
            kind: ClusterType::Plain,
            place: 0,
            distance: 0,
            ahead: 0,
            count: None,
            block: current.block,
        };
        let Some(count) = current.extent.compressed else {
            entry.block = current.block.saturating_add(small(at));
            return Some(entry);
        };
        let full = self.offset / BLOCK_SIZE - current.offset / BLOCK_SIZE;
        if at == 0 {
            entry.kind = ClusterType::Head;
            entry.place = small(current.offset % BLOCK_SIZE);
        } else if at < full {
            entry.kind = ClusterType::NonHead;
            entry.distance = small(at);
            entry.ahead = small(full - at);
            entry.count = (at == 1).then_some(count);
        } else {
            // What is after the last extent in its last block.
            entry.place = small(self.offset % BLOCK_SIZE);
            entry.block = self.block;
        }
        Some(entry)
    }
}

/// Returns a pack of `count` entries.
fn pack<const LENGTH: usize>(
    entries: &mut impl Iterator<Item = Entry>,
    count: usize,
) -> [u8; LENGTH] {
    let mut pack = [0; LENGTH];
    let width = (LENGTH - 4) * 8 / count;
    let mut base = None;
    let mut counted = 0;
    for at in 0..count {
        let Some(entry) = entries.next() else { break };
        let low = match (entry.kind, entry.count) {
            (ClusterType::NonHead, Some(count)) => {
                counted += count;
                BLOCK_COUNT | count
            }
            // Only in this place does an entry say how far away the next extent is.
            (ClusterType::NonHead, None) if at + 1 == count => entry.ahead.min(BLOCK_COUNT - 1),
            (ClusterType::NonHead, None) => entry.distance.min(BLOCK_COUNT - 1),
            _ => {
                // The reader adds up the blocks of the extents before this one in the pack.
                base.get_or_insert(entry.block.saturating_sub(counted));
                entry.place
            }
        };
        put_bits(&mut pack, at * width, entry.kind.bits() << LOW_BITS | low);
    }
    if let Some(end) = pack.last_chunk_mut::<4>() {
        *end = base.unwrap_or_default().to_le_bytes();
    }
    pack
}

/// Sets bits of `bytes`, which are zero, from the bit `at`.
fn put_bits(bytes: &mut [u8], at: usize, value: u32) {
    let shifted = u64::from(value) << (at % 8);
    for (byte, part) in bytes.iter_mut().skip(at / 8).zip(shifted.to_le_bytes()) {
        *byte |= part;
    }
}
