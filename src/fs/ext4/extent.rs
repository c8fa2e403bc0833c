//! Extent trees, which map the blocks of a file.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::checksum::Seed;
use super::ondisk::{
    self, Block, EXTENTS_IN_BLOCK, EXTENTS_IN_INODE, ExtentHeader, ExtentIdx, ExtentTail, IBlock,
    put,
};
use crate::fs::number::{TooWide, index, le16, le32, split48};

/// Maximum number of blocks in an on-disk extent.
const MAX_LEN: u64 = ondisk::Extent::MAX_LEN as u64; // u16 to u64: lossless

/// Blocks that are adjacent both in the file and in the file system. On disk, a long one is divided
/// into several extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Number of the first block within the file.
    pub logical: u64,
    /// Number of the first block in the file system.
    pub physical: u64,
    /// Number of blocks.
    pub length: u64,
}

impl Extent {
    /// Returns the numbers of the blocks in the file system.
    pub fn blocks(&self) -> std::ops::Range<u64> {
        self.physical..self.physical + self.length
    }

    /// Returns the on-disk extents.
    fn split(self) -> impl Iterator<Item = Extent> {
        (0..self.length)
            .step_by(index(MAX_LEN))
            .map(move |at| Extent {
                logical: self.logical + at,
                physical: self.physical + at,
                length: MAX_LEN.min(self.length - at),
            })
    }

    fn encode(&self) -> Result<ondisk::Extent, TooWide> {
        let (ee_start_lo, ee_start_hi) = split48(self.physical)?;
        Ok(ondisk::Extent {
            ee_block: le32(self.logical)?,
            ee_len: le16(self.length)?,
            ee_start_hi,
            ee_start_lo,
        })
    }
}

/// Returns the number of on-disk extents for this many adjacent blocks.
pub fn count(blocks: u64) -> u64 {
    blocks.div_ceil(MAX_LEN)
}

/// Returns the number of blocks of the tree of a file with `extents` on-disk extents, besides the
/// root in the inode.
pub fn tree_blocks(extents: u64) -> u64 {
    // usize to u64: lossless.
    let mut level = extents;
    let mut blocks = 0;
    while level > EXTENTS_IN_INODE as u64 {
        level = level.div_ceil(EXTENTS_IN_BLOCK as u64);
        blocks += level;
    }
    blocks
}

/// An extent tree: the root in the inode, and the other nodes.
pub struct ExtentTree {
    /// The root.
    pub root: IBlock,
    /// The other nodes, in the order of their given block numbers.
    pub blocks: Vec<Block>,
}

impl ExtentTree {
    /// Makes the tree of a file with the blocks `extents`. Its nodes are at `places`, of which
    /// there must be as many as [`tree_blocks`] returns. `seed` is the seed of the inode.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn new(
        extents: impl IntoIterator<Item = Extent>,
        places: &[u64],
        seed: Seed,
    ) -> Result<ExtentTree, TooWide> {
        let leaves = extents.into_iter().flat_map(Extent::split);
        let mut leaves = leaves.map(|extent| extent.encode());
        let mut blocks = Vec::with_capacity(places.len());
        if places.is_empty() {
            // Almost every file takes this path, which avoids allocations.
            let mut entries = [ondisk::Extent::new_zeroed(); EXTENTS_IN_INODE];
            let mut used = 0;
            for leaf in leaves {
                entries[used] = leaf?;
                used += 1;
            }
            let root = root(&entries[..used], 0)?;
            return Ok(ExtentTree { root, blocks });
        }
        let leaves = leaves.by_ref().collect::<Result<Vec<_>, _>>()?;
        let mut places = places.iter();
        let mut level = Vec::with_capacity(leaves.len().div_ceil(EXTENTS_IN_BLOCK));
        for (entries, &place) in leaves.chunks(EXTENTS_IN_BLOCK).zip(&mut places) {
            level.push(index_entry(entries[0].ee_block, place)?);
            blocks.push(node(entries, 0, seed)?);
        }
        let mut depth = 1;
        while level.len() > EXTENTS_IN_INODE {
            let mut above = Vec::with_capacity(level.len().div_ceil(EXTENTS_IN_BLOCK));
            for (entries, &place) in level.chunks(EXTENTS_IN_BLOCK).zip(&mut places) {
                above.push(index_entry(entries[0].ei_block, place)?);
                blocks.push(node(entries, depth, seed)?);
            }
            level = above;
            depth += 1;
        }
        let root = root(&level, depth)?;
        Ok(ExtentTree { root, blocks })
    }
}

/// Returns the index entry for the node at the block `place`. The node begins with the block
/// `first` of the file.
fn index_entry(first: U32, place: u64) -> Result<ExtentIdx, TooWide> {
    let (ei_leaf_lo, ei_leaf_hi) = split48(place)?;
    Ok(ExtentIdx {
        ei_block: first,
        ei_leaf_lo,
        ei_leaf_hi,
        ei_unused: U16::ZERO,
    })
}

/// Encodes the root, with `depth` levels below it.
fn root(entries: &[impl IntoBytes + Immutable], depth: u16) -> Result<IBlock, TooWide> {
    let mut root = IBlock::default();
    fill(root.as_mut_bytes(), entries, EXTENTS_IN_INODE, depth)?;
    Ok(root)
}

/// Encodes any other node.
fn node(entries: &[impl IntoBytes + Immutable], depth: u16, seed: Seed) -> Result<Block, TooWide> {
    let mut block = Block::new_zeroed();
    fill(&mut block, entries, EXTENTS_IN_BLOCK, depth)?;
    let end = block.len() - size_of::<ExtentTail>();
    let tail = ExtentTail {
        et_checksum: U32::new(seed.then(&block[..end]).value()),
    };
    put(&mut block, end, &tail);
    Ok(block)
}

/// Writes a node with room for `max` entries.
fn fill(
    node: &mut [u8],
    entries: &[impl IntoBytes + Immutable],
    max: usize,
    depth: u16,
) -> Result<(), TooWide> {
    let header = ExtentHeader {
        eh_magic: ExtentHeader::MAGIC,
        eh_entries: le16(entries.len())?,
        eh_max: le16(max)?,
        eh_depth: U16::new(depth),
        eh_generation: U32::ZERO,
    };
    put(node, 0, &header);
    put(node, size_of_val(&header), entries);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_tree_blocks_level_by_level() {
        for (extents, expected) in [
            (0, 0),
            (4, 0),
            (5, 1),
            (340, 1),
            (341, 2),
            (4 * 340, 4),
            (4 * 340 + 1, 5 + 1),
            (340 * 340 * 4 + 1, 340 * 4 + 1 + 5 + 1),
        ] {
            assert_eq!(tree_blocks(extents), expected, "{extents}");
        }
    }

    #[test]
    fn encodes_a_journal_of_16_mib_as_mkfs_ext4_does() {
        // i_block of inode 8 in an image of `mkfs.ext4 -b 4096` 1.47.0, 600 MiB.
        let extent = Extent {
            logical: 0,
            physical: 65_536,
            length: 4096,
        };
        let tree = ExtentTree::new([extent], &[], Seed::file_system(&[0; 16])).unwrap();
        let mut expected = [0; 60];
        expected[..8].copy_from_slice(&[0x0a, 0xf3, 1, 0, 4, 0, 0, 0]);
        expected[16..24].copy_from_slice(&[0, 0x10, 0, 0, 0, 0, 1, 0]);
        assert_eq!(tree.root.as_bytes(), expected);
        assert!(tree.blocks.is_empty());
    }

    #[test]
    fn splits_long_extents_and_grows_trees() {
        let extent = Extent {
            logical: 5,
            physical: 1 << 32,
            length: 5 * MAX_LEN - 1,
        };
        assert_eq!(count(extent.length), 5);
        let tree = ExtentTree::new([extent], &[77], Seed::file_system(&[0; 16])).unwrap();
        assert_eq!(tree.blocks.len(), 1);
        assert_eq!(&tree.root.as_bytes()[2..8], [1, 0, 4, 0, 1, 0]);
        assert_eq!(
            &tree.root.as_bytes()[12..24],
            [5, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(&tree.blocks[0][2..8], [5, 0, 84, 1, 0, 0]);
        let last = &tree.blocks[0][12 + 48..12 + 60];
        assert_eq!(last, [5, 0, 2, 0, 0xff, 0x7f, 1, 0, 0, 0, 2, 0]);
    }
}
