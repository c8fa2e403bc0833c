//! The sizes of a file system: what `mkfs.xfs` chooses for a file of the same length (xfsprogs,
//! `calc_default_ag_geometry` and `calculate_log_size`), and what Linux reserves in it.

use super::ondisk::BLOCK_SIZE;
use super::{btree, rmap};

/// Blocks in use in each allocation group of a new file system: the headers and the roots of six
/// B+trees.
pub const HEADER_BLOCKS: u64 = 7;
/// Number of free blocks that are kept for the B+trees (`xfs_alloc_min_freelist`, when each has one
/// level).
pub const FREE_LIST: u64 = 6;
/// Blocks in a chunk of 64 inodes, and their alignment.
pub const CHUNK_BLOCKS: u64 = 8;

/// Length of the shortest file system in blocks: 300 MiB. `mkfs.xfs` makes none that is shorter.
pub const MINIMUM: u64 = MIB * 300;
/// Length of the longest file system in blocks: 1 PiB.
pub const MAXIMUM: u64 = 1 << 38;

const MIB: u64 = (1 << 20) / BLOCK_SIZE;
const TIB: u64 = (1 << 40) / BLOCK_SIZE;
/// Longest allocation group: just below 1 TiB.
const LONGEST_GROUP: u64 = TIB - 1;
/// Shortest allocation group: 16 MiB.
const SHORTEST_GROUP: u64 = 16 * MIB;
/// Shortest and longest log.
const SHORTEST_LOG: u64 = 64 * MIB;
const LONGEST_LOG: u64 = 2048 * MIB - 10 * MIB;

/// Blocks of an allocation group that Linux never hands out (`xfs_alloc_set_aside`).
const SET_ASIDE: u64 = 8;
/// Free blocks beyond all reservations that are left in each group. Linux may take this many to fill
/// its list of free blocks when the B+trees have more than one level.
const SLACK: u64 = 12;

/// Blocks that are not counted as available, because Linux needs some to create a file and cannot write
/// to the last few (`XFS_CREATE_SPACE_RES` and `xfs_bmap_worst_indlen`).
const WORKING: u64 = 64;

/// The sizes of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// Length in blocks.
    pub blocks: u64,
    /// Length of each allocation group, except perhaps the last.
    pub group_blocks: u64,
    /// Number of allocation groups.
    pub groups: u64,
    /// Length of the log.
    pub log_blocks: u64,
}

impl Geometry {
    /// Returns the geometry of a file system in `device` blocks, or `None` if there are too few or
    /// too many.
    pub fn new(device: u64) -> Option<Geometry> {
        if !(MINIMUM..=MAXIMUM).contains(&device) {
            return None;
        }
        let group_blocks = match device {
            _ if device >= 4 * TIB => LONGEST_GROUP,
            _ => device.div_ceil(4).min(LONGEST_GROUP),
        };
        let mut blocks = device;
        let last = blocks % group_blocks;
        if last < SHORTEST_GROUP {
            blocks -= last;
        }
        let longest_log = group_blocks - 12;
        Some(Geometry {
            blocks,
            group_blocks,
            groups: blocks.div_ceil(group_blocks),
            log_blocks: (blocks / 2048)
                .max(SHORTEST_LOG)
                .min(longest_log)
                .min(LONGEST_LOG),
        })
    }

    /// Returns the length of `group` in blocks.
    pub fn length(&self, group: u64) -> u64 {
        self.group_blocks
            .min(self.blocks - group * self.group_blocks)
    }

    /// Returns the binary logarithm of the length of a group, rounded up.
    pub fn group_log(&self) -> u32 {
        self.group_blocks.next_power_of_two().trailing_zeros()
    }

    /// Returns the group that contains the log.
    pub fn log_group(&self) -> u64 {
        self.groups / 2
    }

    /// Returns the number of blocks of the log in `group`.
    pub fn log_in(&self, group: u64) -> u64 {
        match group == self.log_group() {
            true => self.log_blocks,
            false => 0,
        }
    }

    /// Returns the first block of the list of free blocks in `group`.
    pub fn free_list(&self, group: u64) -> u64 {
        HEADER_BLOCKS + self.log_in(group)
    }

    /// Returns the first block in `group` that a new file system does not use.
    pub fn first_free(&self, group: u64) -> u64 {
        self.free_list(group) + FREE_LIST
    }

    /// Returns the number of blocks in `group` that can be used for inodes and data, so that all
    /// reservations of Linux can be made. The blocks of the reverse mapping tree are part of its
    /// reservation and don't count.
    pub fn capacity(&self, group: u64) -> u64 {
        let reserved = self.metadata_reserved(group) + self.rmap_reserved(group) - 1;
        self.length(group)
            .saturating_sub(self.first_free(group) + reserved + SLACK)
    }

    /// Returns the number of free blocks that ordinary users can't fill: what Linux keeps for
    /// B+trees, sets aside, and reserves for itself (`xfs_default_resblks`), and the last few.
    pub fn withheld(&self) -> u64 {
        let groups: u64 = (0..self.groups)
            .map(|group| self.metadata_reserved(group) + self.rmap_reserved(group) + SET_ASIDE)
            .sum();
        groups + (self.blocks / 20).min(8192) + WORKING
    }

    /// Returns the highest number of blocks for inodes if there are `chunks` chunks
    /// (`xfs_ialloc_setup_geometry`).
    pub fn most_inode_blocks(&self, chunks: u64) -> u64 {
        self.blocks * self.inode_percentage(chunks) / 100 / CHUNK_BLOCKS * CHUNK_BLOCKS
    }

    /// Returns the highest percentage of blocks for inodes, which is higher than the default if
    /// `chunks` chunks need it.
    pub fn inode_percentage(&self, chunks: u64) -> u64 {
        let default = match self.blocks {
            _ if self.blocks < TIB => 25,
            _ if self.blocks < 50 * TIB => 5,
            _ => 1,
        };
        let needed = chunks * CHUNK_BLOCKS * 100 / self.blocks + 1;
        default.max(needed).min(100)
    }

    /// Returns the address of a block: the number of its group, and its number in the group.
    pub fn address(&self, block: u64) -> u64 {
        let (group, within) = self.split(block);
        group << self.group_log() | within
    }

    /// Returns the group of `block` and its number in the group.
    pub fn split(&self, block: u64) -> (u64, u64) {
        (block / self.group_blocks, block % self.group_blocks)
    }

    /// Returns the number of blocks reserved in `group` for reference counts and for chunks with free
    /// inodes, beyond the roots of these trees (`xfs_refcountbt_calc_reserves` and
    /// `xfs_finobt_calc_reserves`).
    fn metadata_reserved(&self, group: u64) -> u64 {
        let length = self.length(group) - self.log_in(group);
        let reference_counts = btree::REFERENCE_COUNTS.most_blocks(length);
        let chunks = btree::INODES.most_blocks(length / CHUNK_BLOCKS);
        reference_counts + chunks - 2
    }

    /// Returns the number of blocks reserved in `group` for reverse mappings, the root included
    /// (`xfs_rmapbt_calc_reserves`).
    fn rmap_reserved(&self, group: u64) -> u64 {
        let length = self.length(group) - self.log_in(group);
        rmap::TREE.most_blocks(length).max(length / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_the_sizes_of_mkfs_xfs() {
        // From `mkfs.xfs -N` 6.13: MiB; blocks, blocks in a group, groups, blocks in the log.
        for (mebibytes, blocks, group, groups, log) in [
            (300, 76_800, 19_200, 4, 16_384),
            (301, 77_056, 19_264, 4, 16_384),
            (1000, 256_000, 64_000, 4, 16_384),
            (4096, 1_048_576, 262_144, 4, 16_384),
            (300 << 10, 78_643_200, 19_660_800, 4, 38_400),
            (1025 << 10, 268_697_600, 67_174_400, 4, 131_200),
            (4 << 20, 1_073_741_820, 268_435_455, 4, 521_728),
            (5 << 20, 1_342_177_275, 268_435_455, 5, 521_728),
        ] {
            let geometry = Geometry::new(mebibytes * MIB).unwrap();
            let expected = Geometry {
                blocks,
                group_blocks: group,
                groups,
                log_blocks: log,
            };
            assert_eq!(geometry, expected, "{mebibytes}");
        }
        assert_eq!(Geometry::new(MINIMUM - 1), None);
        assert_eq!(Geometry::new(MAXIMUM + 1), None);
    }

    #[test]
    fn the_percentage_of_inodes_is_that_of_mkfs_unless_more_are_needed() {
        let geometry = Geometry::new(MINIMUM).unwrap();
        assert_eq!(geometry.inode_percentage(1), 25);
        assert_eq!(geometry.inode_percentage(2399), 25);
        assert_eq!(geometry.inode_percentage(2400), 26);
        assert_eq!(geometry.inode_percentage(9600), 100);
        let geometry = Geometry::new(TIB).unwrap();
        assert_eq!(geometry.inode_percentage(1), 5);
    }

    #[test]
    fn addresses_have_the_group_above_its_blocks() {
        let geometry = Geometry::new(MINIMUM).unwrap();
        assert_eq!(geometry.group_log(), 15);
        assert_eq!(geometry.address(2 * 19_200 + 7), 65_543);
        assert_eq!(Geometry::new(MIB * 512).unwrap().group_log(), 15);
    }
}
