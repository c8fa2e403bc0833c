//! B+trees of an allocation group: built from sorted records, with as few blocks as possible and
//! equally full (kernel, fs/xfs/libxfs/xfs_btree.c and `xfs_*_btree.c`).

use anyhow::{Context, Result};
use zerocopy::FromZeros;
use zerocopy::big_endian::U32;

use super::ondisk::{Block, SHORT_HEADER, ShortBlockHeader, be16, be32, put, seal};
use super::place::Place;
use crate::fs::number::index;

/// Bytes for records in a block.
const SPACE: usize = size_of::<Block>() - SHORT_HEADER;
/// Bytes of a pointer to a block of the group.
const POINTER: usize = 4;

/// Blocks of an allocation group that are the roots of its trees, as in a new file system.
pub const BY_BLOCK_ROOT: u64 = 1;
pub const BY_LENGTH_ROOT: u64 = 2;
pub const INODES_ROOT: u64 = 3;
pub const FREE_INODES_ROOT: u64 = 4;
pub const RMAP_ROOT: u64 = 5;
pub const REFERENCE_COUNTS_ROOT: u64 = 6;

/// A kind of B+tree.
#[derive(Debug)]
pub struct Tree {
    /// The number that identifies its blocks.
    pub magic: u32,
    /// Bytes of a record.
    pub record: usize,
    /// Bytes of a key in a node.
    pub key: usize,
    /// Writes the key of a record: of the first one below a pointer and, if keys are ranges, of the
    /// last one.
    pub make_key: fn(first: &[u8], last: &[u8], key: &mut Vec<u8>),
}

/// Free ranges by block: first block and length (`xfs_alloc_rec`).
pub const BY_BLOCK: Tree = Tree {
    magic: 0x4142_3342,
    record: 8,
    key: 8,
    make_key: |first, _, key| key.extend_from_slice(first),
};

/// Free ranges by length.
pub const BY_LENGTH: Tree = Tree {
    magic: 0x4142_3343,
    ..BY_BLOCK
};

/// Chunks of inodes (`xfs_inobt_rec`).
pub const INODES: Tree = Tree {
    magic: 0x4941_4233,
    record: 16,
    key: 4,
    make_key: |first, _, key| key.extend_from_slice(&first[..4]),
};

/// Chunks with free inodes.
pub const FREE_INODES: Tree = Tree {
    magic: 0x4649_4233,
    ..INODES
};

/// Shared blocks (`xfs_refcount_rec`).
pub const REFERENCE_COUNTS: Tree = Tree {
    magic: 0x5233_4643,
    record: 12,
    key: 4,
    make_key: |first, _, key| key.extend_from_slice(&first[..4]),
};

impl Tree {
    /// Returns the number of blocks on each level of a tree of `records` records, the leaves first.
    pub fn levels(&self, records: u64) -> Vec<u64> {
        levels(records, self.leaf_entries(), self.node_entries(), 1)
    }

    /// Returns the largest number of blocks that a tree of `records` records may have: its blocks are
    /// only half full (`xfs_btree_calc_size`).
    pub fn most_blocks(&self, records: u64) -> u64 {
        levels(records, self.leaf_entries() / 2, self.node_entries() / 2, 1)
            .iter()
            .sum()
    }

    fn leaf_entries(&self) -> u64 {
        // usize to u64: lossless.
        (SPACE / self.record) as u64
    }

    fn node_entries(&self) -> u64 {
        // usize to u64: lossless.
        (SPACE / (self.key + POINTER)) as u64
    }

    /// Makes the tree of `records`, which are sorted. The root is in the block `root` of the group,
    /// all others are in the blocks from `next` on, the leaves first. Returns the blocks in this
    /// order, and the root last.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn build(&self, records: &[u8], place: Place<'_>, root: u64, next: u64) -> Result<Built> {
        let count = records.len() / self.record;
        // usize to u64: lossless.
        let levels = self.levels(count as u64);
        let mut built = Built {
            levels: be32(levels.len())?,
            ..Built::default()
        };
        let mut next = next;
        // The entries of this level: records, or keys of the blocks below and their numbers.
        let mut keys: Vec<u8> = Vec::new();
        let mut pointers: Vec<U32> = Vec::new();
        for (level, &blocks) in levels.iter().enumerate() {
            let is_root = level + 1 == levels.len();
            let first = if is_root { root } else { next };
            next += if is_root { 0 } else { blocks };
            let entries = if level == 0 { count } else { pointers.len() };
            let mut above_keys = Vec::new();
            let mut above_pointers = Vec::new();
            for (at, part) in parts(entries, index(blocks)).enumerate() {
                // usize to u64: lossless.
                let number = first + at as u64;
                let mut block = Block::new_zeroed();
                let header = ShortBlockHeader {
                    bb_magic: U32::new(self.magic),
                    bb_level: be16(level)?,
                    bb_numrecs: be16(part.len())?,
                    bb_leftsib: neighbor(at > 0, number.wrapping_sub(1))?,
                    bb_rightsib: neighbor(part.end < entries, number + 1)?,
                    bb_blkno: place.sector(number),
                    bb_uuid: *place.uuid,
                    bb_owner: be32(place.group)?,
                    ..ShortBlockHeader::new_zeroed()
                };
                put(&mut block, 0, &header);
                if level == 0 {
                    let bytes = &records[part.start * self.record..part.end * self.record];
                    put(&mut block, SHORT_HEADER, bytes);
                    if let Some(last) = bytes.len().checked_sub(self.record) {
                        (self.make_key)(&bytes[..self.record], &bytes[last..], &mut above_keys);
                    }
                } else {
                    let bytes = &keys[part.start * self.key..part.end * self.key];
                    put(&mut block, SHORT_HEADER, bytes);
                    let pointers_at = SHORT_HEADER + SPACE / (self.key + POINTER) * self.key;
                    put(&mut block, pointers_at, &pointers[part.clone()]);
                    let half = self.key / 2;
                    match self.has_ranges() {
                        true => {
                            above_keys.extend_from_slice(&bytes[..half]);
                            above_keys.extend_from_slice(&bytes[bytes.len() - half..]);
                        }
                        false => above_keys.extend_from_slice(&bytes[..self.key]),
                    }
                }
                above_pointers.push(be32(number)?);
                seal(&mut block, ShortBlockHeader::CHECKSUM);
                built.blocks.push((number, block));
            }
            (keys, pointers) = (above_keys, above_pointers);
        }
        built.root = *pointers.first().context("a B+tree without a root")?;
        Ok(built)
    }

    /// Whether a key consists of the lowest and the highest key below a pointer.
    fn has_ranges(&self) -> bool {
        self.key > self.record
    }
}

/// A B+tree of an allocation group.
#[derive(Default)]
pub struct Built {
    /// Numbers of the blocks in the group, and their contents; the root is the last.
    pub blocks: Vec<(u64, Block)>,
    /// The root.
    pub root: U32,
    /// Number of levels.
    pub levels: U32,
}

fn neighbor(exists: bool, number: u64) -> Result<U32> {
    Ok(match exists {
        true => be32(number)?,
        false => U32::new(ShortBlockHeader::NULL),
    })
}

/// Returns the number of blocks on each level of a tree, up to and including the first that has no
/// more than `root` blocks: at least one.
pub fn levels(records: u64, leaf: u64, node: u64, root: u64) -> Vec<u64> {
    let mut blocks = records.div_ceil(leaf).max(1);
    let mut levels = vec![blocks];
    while blocks > root {
        blocks = blocks.div_ceil(node);
        levels.push(blocks);
    }
    levels
}

/// Divides `entries` into `blocks` parts of nearly equal length.
pub fn parts(entries: usize, blocks: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (each, more) = match blocks {
        0 => (0, 0),
        _ => (entries / blocks, entries % blocks),
    };
    let start = move |block: usize| block * each + block.min(more);
    (0..blocks).map(move |block| start(block)..start(block + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_equally_long() {
        let found: Vec<_> = parts(11, 3).collect();
        assert_eq!(found, [0..4, 4..8, 8..11]);
        assert_eq!(parts(0, 1).next(), Some(0..0));
        assert_eq!(parts(5, 0).count(), 0);
    }

    #[test]
    fn a_tree_has_as_many_levels_as_needed() {
        assert_eq!(INODES.levels(0), [1]);
        assert_eq!(INODES.levels(252), [1]);
        assert_eq!(INODES.levels(253), [2, 1]);
        assert_eq!(INODES.levels(252 * 505 + 1), [506, 2, 1]);
        assert_eq!(levels(1000, 251, 251, 20), [4]);
    }

    #[test]
    fn nodes_point_to_leaves_and_leaves_to_their_neighbors() {
        let records: Vec<u8> = (0..600u64)
            .flat_map(|at| (at << 32).to_be_bytes())
            .collect();
        let place = Place {
            group: 3,
            first: 3000,
            uuid: &[7; 16],
        };
        let built = BY_BLOCK.build(&records, place, 1, 100).unwrap();
        assert_eq!((built.root.get(), built.levels.get()), (1, 2));
        let numbers: Vec<u64> = built.blocks.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [100, 101, 1]);
        let word = |block: usize, at: usize| {
            let bytes = &built.blocks[block].1[at..at + 4];
            u32::from_be_bytes(bytes.try_into().unwrap())
        };
        assert_eq!((word(0, 8), word(0, 12)), (u32::MAX, 101));
        assert_eq!((word(1, 8), word(1, 12)), (100, u32::MAX));
        // Level 1 with two entries; keys, and pointers after space for 336 keys.
        assert_eq!(word(2, 4), 0x1_0002);
        assert_eq!((word(2, 56), word(2, 64)), (0, 300));
        let pointers = 56 + 336 * 8;
        assert_eq!((word(2, pointers), word(2, pointers + 4)), (100, 101));
        assert_eq!(word(2, 20), 3001 * 8);
    }
}
