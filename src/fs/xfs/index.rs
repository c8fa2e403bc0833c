//! The tree of hashes above the leaves of directories and attributes (kernel,
//! fs/xfs/libxfs/xfs_da_btree.c).

use anyhow::Result;
use zerocopy::FromZeros;
use zerocopy::big_endian::{U16, U32, U64};

use super::btree::{levels, parts};
use super::ondisk::{BlkInfo, Block, DirLeafEntry, NodeHeader, be16, be32, put};
use crate::fs::number::index;

/// Number of entries in a node.
const ENTRIES: u64 =
    ((size_of::<Block>() - size_of::<NodeHeader>()) / size_of::<DirLeafEntry>()) as u64;

/// The highest level of a node (`XFS_DA_NODE_MAXDEPTH`), and the number of leaves that fit below.
pub const MOST_LEAVES: u64 = ENTRIES.pow(4);

/// Returns the number of blocks of a tree with `leaves` leaves, including these.
pub fn blocks(leaves: u64) -> u64 {
    levels(leaves, 1, ENTRIES, 1).iter().sum()
}

/// A tree. Its first block is the root, followed by the leaves, and by all other nodes level by level.
pub struct Index {
    /// The highest hash in each block of each level, the leaves first.
    hashes: Vec<Vec<U32>>,
    /// Number of the first block.
    base: u64,
}

/// A block of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// 0 is a leaf.
    pub level: usize,
    /// Which one on this level.
    pub at: usize,
}

impl Index {
    /// Makes the tree above leaves with these highest hashes. `base` is the number of its first
    /// block.
    pub fn new(leaves: Vec<U32>, base: u64) -> Index {
        // usize to u64: lossless.
        let counts = levels(leaves.len() as u64, 1, ENTRIES, 1);
        let mut hashes = vec![leaves];
        for &count in &counts[1..] {
            let below = &hashes[hashes.len() - 1];
            let highest = parts(below.len(), index(count)).map(|part| below[part.end - 1]);
            let highest = highest.collect();
            hashes.push(highest);
        }
        Index { hashes, base }
    }

    /// Returns the blocks in the order of their numbers.
    pub fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        let levels = self.hashes.len();
        let root = Position {
            level: levels - 1,
            at: 0,
        };
        let others = self.hashes[..levels - 1].iter().enumerate();
        std::iter::once(root).chain(
            others.flat_map(|(level, hashes)| {
                (0..hashes.len()).map(move |at| Position { level, at })
            }),
        )
    }

    /// Returns the number of a block.
    fn number(&self, position: Position) -> u64 {
        if position.level + 1 == self.hashes.len() {
            return self.base;
        }
        let before: usize = self.hashes[..position.level].iter().map(Vec::len).sum();
        // usize to u64: lossless.
        self.base + 1 + (before + position.at) as u64
    }

    /// Returns the beginning of a block: its kind is `magic`, and it belongs to the inode `owner`.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn info(
        &self,
        position: Position,
        magic: u16,
        owner: u64,
        uuid: &[u8; 16],
    ) -> Result<BlkInfo> {
        let Position { level, at } = position;
        let neighbor = |at: Option<usize>| match at.filter(|&at| at < self.hashes[level].len()) {
            Some(at) => be32(self.number(Position { level, at })),
            None => Ok(U32::ZERO),
        };
        Ok(BlkInfo {
            forw: neighbor(Some(at + 1))?,
            back: neighbor(at.checked_sub(1))?,
            magic: U16::new(magic),
            uuid: *uuid,
            owner: U64::new(owner),
            ..BlkInfo::new_zeroed()
        })
    }

    /// Returns a node, without its address and checksum.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn node(&self, position: Position, owner: u64, uuid: &[u8; 16]) -> Result<Block> {
        let level = position.level - 1;
        let below = &self.hashes[level];
        let nodes = self.hashes[position.level].len();
        let part = parts(below.len(), nodes).nth(position.at).unwrap_or(0..0);
        let mut block = Block::new_zeroed();
        let header = NodeHeader {
            info: self.info(position, BlkInfo::NODE, owner, uuid)?,
            count: be16(part.len())?,
            level: be16(position.level)?,
            pad32: U32::ZERO,
        };
        put(&mut block, 0, &header);
        let mut place = size_of_val(&header);
        for at in part {
            let entry = DirLeafEntry {
                hashval: below[at],
                address: be32(self.number(Position { level, at }))?,
            };
            put(&mut block, place, &entry);
            place += size_of_val(&entry);
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(leaves: u32) -> Index {
        Index::new((0..leaves).map(|hash| U32::new(hash * 10)).collect(), 100)
    }

    #[test]
    fn a_single_leaf_is_the_root() {
        let index = tree(1);
        assert_eq!(blocks(1), 1);
        let positions: Vec<_> = index.positions().collect();
        assert_eq!(positions, [Position { level: 0, at: 0 }]);
        assert_eq!(index.number(positions[0]), 100);
    }

    #[test]
    fn the_root_comes_first_and_points_to_everything() {
        let index = tree(505);
        assert_eq!(blocks(505), 1 + 505 + 2);
        let positions: Vec<_> = index.positions().collect();
        assert_eq!(positions.len(), 508);
        for (at, position) in positions.iter().enumerate() {
            assert_eq!(index.number(*position), 100 + at as u64);
        }
        let root = index.node(positions[0], 5, &[0; 16]).unwrap();
        // Two entries at level 2: the highest hashes, and the last two blocks.
        assert_eq!(root[56..60], [0, 2, 0, 2]);
        let entry = |at: usize| u32::from_be_bytes(root[at..at + 4].try_into().unwrap());
        assert_eq!((entry(64), entry(68)), (2520, 606));
        assert_eq!((entry(72), entry(76)), (5040, 607));
        let info = index
            .info(positions[507], BlkInfo::NODE, 5, &[0; 16])
            .unwrap();
        assert_eq!((info.forw.get(), info.back.get()), (0, 606));
    }
}
