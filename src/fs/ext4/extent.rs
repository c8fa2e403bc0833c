//! Extent trees: which blocks a file is in (kernel, Documentation/filesystems/ext4/ifork.rst).

use super::BLOCK_SIZE;
use super::bytes::{index, put};
use super::checksum::Seed;

/// Most blocks in one extent.
const LONGEST: u64 = 32_768;
/// Extents, or index entries, that an inode has room for.
const IN_INODE: usize = 4;
/// Those that a block has room for: 12 bytes each, after the header and before the checksum.
const IN_BLOCK: usize = (BLOCK_SIZE - 12 - 4) / 12;

/// Blocks next to each other, in the file and in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first one's number within the file.
    pub logical: u64,
    /// The first one's number.
    pub start: u64,
    /// How many there are.
    pub length: u64,
}

impl Run {
    /// How many extents it takes.
    pub fn extents(&self) -> u64 {
        self.length.div_ceil(LONGEST)
    }

    fn split(self) -> impl Iterator<Item = Run> {
        (0..self.length).step_by(index(LONGEST)).map(move |at| Run {
            logical: self.logical + at,
            start: self.start + at,
            length: LONGEST.min(self.length - at),
        })
    }
}

/// How many blocks the tree of a file with `extents` extents takes.
pub fn nodes(extents: u64) -> u64 {
    // usize to u64: lossless.
    let mut level = extents;
    let mut nodes = 0;
    while level > IN_INODE as u64 {
        level = level.div_ceil(IN_BLOCK as u64);
        nodes += level;
    }
    nodes
}

/// A tree: what is in the inode, and the blocks.
pub struct ExtentTree {
    /// The 60 bytes of `i_block`.
    pub root: [u8; 60],
    /// The nodes, in the order of the block numbers that were given for them.
    pub nodes: Vec<Vec<u8>>,
}

impl ExtentTree {
    /// The tree of the file with the blocks `runs`, whose nodes are at the blocks `places`, as
    /// many as [`nodes`] says. `seed` is the inode's.
    pub fn new(runs: &[Run], places: &[u64], seed: Seed) -> ExtentTree {
        let mut level: Vec<[u8; 12]> = runs.iter().flat_map(|run| run.split()).map(leaf).collect();
        let mut nodes = Vec::with_capacity(places.len());
        let mut depth = 0u8;
        while level.len() > IN_INODE {
            let mut above = Vec::with_capacity(level.len().div_ceil(IN_BLOCK));
            for entries in level.chunks(IN_BLOCK) {
                let mut block = vec![0; BLOCK_SIZE];
                write(&mut block, entries, IN_BLOCK, depth);
                let tail = BLOCK_SIZE - 4;
                let checksum = seed.then(&block[..tail]).value();
                put(&mut block, tail, 4, u64::from(checksum));
                above.push(branch(&entries[0], places[nodes.len()]));
                nodes.push(block);
            }
            level = above;
            depth += 1;
        }
        let mut root = [0; 60];
        write(&mut root, &level, IN_INODE, depth);
        ExtentTree { root, nodes }
    }
}

fn write(node: &mut [u8], entries: &[[u8; 12]], most: usize, depth: u8) {
    // usize to u64: lossless.
    put(node, 0, 2, 0xf30a);
    put(node, 2, 2, entries.len() as u64);
    put(node, 4, 2, most as u64);
    put(node, 6, 2, u64::from(depth));
    node[12..12 + 12 * entries.len()].copy_from_slice(entries.as_flattened());
}

fn leaf(run: Run) -> [u8; 12] {
    let mut entry = [0; 12];
    put(&mut entry, 0, 4, run.logical);
    put(&mut entry, 4, 2, run.length);
    put(&mut entry, 6, 2, run.start >> 32);
    put(&mut entry, 8, 4, run.start);
    entry
}

/// The entry for the node `place`, whose first entry is `first`.
fn branch(first: &[u8; 12], place: u64) -> [u8; 12] {
    let mut entry = [0; 12];
    entry[..4].copy_from_slice(&first[..4]);
    put(&mut entry, 4, 4, place);
    put(&mut entry, 8, 2, place >> 32);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_counted_level_by_level() {
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
            assert_eq!(nodes(extents), expected, "{extents}");
        }
    }

    #[test]
    fn a_journal_of_16_mib_as_mkfs_ext4_writes_it() {
        // i_block of inode 8 in an image of `mkfs.ext4 -b 4096` 1.47.0, 600 MiB.
        let run = Run {
            logical: 0,
            start: 65_536,
            length: 4096,
        };
        let tree = ExtentTree::new(&[run], &[], Seed::file_system(&[0; 16]));
        let mut expected = [0; 60];
        expected[..8].copy_from_slice(&[0x0a, 0xf3, 1, 0, 4, 0, 0, 0]);
        expected[16..24].copy_from_slice(&[0, 0x10, 0, 0, 0, 0, 1, 0]);
        assert_eq!(tree.root, expected);
        assert!(tree.nodes.is_empty());
    }

    #[test]
    fn long_runs_are_split_and_trees_grow() {
        let run = Run {
            logical: 5,
            start: 1 << 32,
            length: 5 * LONGEST - 1,
        };
        assert_eq!(run.extents(), 5);
        let tree = ExtentTree::new(&[run], &[77], Seed::file_system(&[0; 16]));
        assert_eq!(tree.nodes.len(), 1);
        assert_eq!(&tree.root[2..8], [1, 0, 4, 0, 1, 0]);
        assert_eq!(&tree.root[12..24], [5, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&tree.nodes[0][2..8], [5, 0, 84, 1, 0, 0]);
        let last = &tree.nodes[0][12 + 48..12 + 60];
        assert_eq!(last, [5, 0, 2, 0, 0xff, 0x7f, 1, 0, 0, 0, 2, 0]);
    }
}
