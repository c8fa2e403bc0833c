//! The sizes of all parts of a file system, as chosen by `mkfs.ext4 -b 4096` of e2fsprogs 1.47.0
//! with the `mke2fs.conf` of Debian and nixpkgs.
//!
//! The rules are those of `ext2fs_initialize` and of `mke2fs`; the terms are those of the kernel's
//! Documentation/filesystems/ext4 (blockgroup.rst, group_descr.rst, super.rst).

use super::block_map::PER_BLOCK;
use super::features::{FLEX_SIZE, Features};
use super::mapping;
use super::ondisk::BLOCK_SIZE;
use super::{FIRST_FREE_INODE, INODE_SIZE};

/// Bits per block: the maximum number of blocks or inodes that one bitmap can describe.
const BITMAP_BITS: u64 = BLOCK_SIZE * 8;
const INODES_PER_BLOCK: u64 = BLOCK_SIZE / INODE_SIZE;
/// `mke2fs` drops the last group if it has fewer blocks than this beyond its own metadata.
const LAST_GROUP_MINIMUM: u64 = 50;

/// `mke2fs` does not shrink groups below this number of blocks to get more inodes.
const SHORTEST_GROUP: u64 = 248;

/// The sizes in a file system, in blocks of 4 KiB unless stated otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// The features of the file system.
    pub features: &'static Features,
    /// Length of the file system; a little less than the space available if the last group would be
    /// too short.
    pub blocks: u64,
    /// Number of blocks that only root can fill.
    pub reserved: u64,
    /// Number of block groups.
    pub groups: u64,
    /// Number of blocks in each group except the last.
    pub blocks_per_group: u64,
    /// Number of inodes in each group.
    pub inodes_per_group: u64,
    /// Length of each group's inode table.
    pub inode_table_blocks: u64,
    /// Length of one copy of the group descriptor table.
    pub descriptor_blocks: u64,
    /// Number of blocks reserved after each copy of the table for growing the file system.
    pub reserved_descriptor_blocks: u64,
    /// Whether there is a resize inode: only if there are fewer than 2^32 blocks.
    pub resize_inode: bool,
    /// Length of the journal; 0 if the type has none, and below 8 MiB.
    pub journal_blocks: u64,
}

impl Geometry {
    /// Returns the geometry of a file system in `device` blocks for a tree that takes `inodes`
    /// inodes and `tree` blocks, or `None` if that is impossible.
    ///
    /// There are as many inodes as `mkfs.ext4` would make, but at least as many as the tree needs
    /// plus half of what `mkfs.ext4` would make for the free blocks. If small files used up all
    /// inodes, free blocks would be useless.
    pub fn for_tree(
        features: &'static Features,
        device: u64,
        inodes: u64,
        tree: u64,
    ) -> Option<Geometry> {
        let free = device.saturating_sub(tree).checked_mul(BLOCK_SIZE)?;
        let spare = free / inode_ratio(device) / 2;
        // No more than possible without making groups smaller.
        let most = device.div_ceil(BITMAP_BITS) * BITMAP_BITS;
        Geometry::new(features, device, inodes.max(most.min(inodes + spare)))
    }

    /// Returns the geometry of a file system in `device` blocks with at least `inodes` inodes, or
    /// `None` if that is impossible.
    pub fn new(features: &'static Features, device: u64, inodes: u64) -> Option<Geometry> {
        let per_block = descriptors_per_block(features);
        let resize_inode = device <= u64::from(u32::MAX);
        let inodes = inodes
            .max(device.checked_mul(BLOCK_SIZE)? / inode_ratio(device))
            .max(FIRST_FREE_INODE + 1);
        if inodes > u64::from(u32::MAX) || inodes * INODE_SIZE >= device * BLOCK_SIZE {
            return None;
        }
        let mut blocks = device;
        let mut reserved = device / 20;
        let mut blocks_per_group = BITMAP_BITS;
        loop {
            let groups = blocks.div_ceil(blocks_per_group);
            if groups == 0 {
                return None;
            }
            let descriptor_blocks = groups.div_ceil(per_block);
            if inodes.div_ceil(groups) > BITMAP_BITS {
                // Makes groups smaller in steps of 8 blocks to get more of them, and skips to the
                // first size that gives as many as needed.
                let needed = inodes.div_ceil(BITMAP_BITS);
                let longest = (device - 1) / (needed - 1);
                blocks_per_group = (blocks_per_group - 8).min(longest / 8 * 8);
                if blocks_per_group < SHORTEST_GROUP {
                    return None;
                }
                blocks = device;
                continue;
            }
            let inode_table_blocks = inode_table_blocks(inodes, groups);
            let reserved_descriptor_blocks = match resize_inode {
                true => {
                    let groups = most_groups(blocks, blocks_per_group);
                    let most = groups.div_ceil(per_block);
                    most.saturating_sub(descriptor_blocks).min(PER_BLOCK)
                }
                false => 0,
            };
            let table = descriptor_blocks + reserved_descriptor_blocks;
            if table > blocks_per_group * 3 / 4 || 3 + inode_table_blocks + table > blocks_per_group
            {
                return None;
            }
            let mut last_needs = 2 + inode_table_blocks;
            if has_superblock(groups - 1) {
                last_needs += 1 + table;
            }
            let last = blocks % blocks_per_group;
            if groups == 1 && last > 0 && last < last_needs {
                return None;
            }
            if last > 0 && last < last_needs + LAST_GROUP_MINIMUM {
                blocks -= last;
                reserved = (device / 20) * blocks / device;
                continue;
            }
            return Some(Geometry {
                features,
                blocks,
                reserved,
                groups,
                blocks_per_group,
                inodes_per_group: inode_table_blocks * INODES_PER_BLOCK,
                inode_table_blocks,
                descriptor_blocks,
                reserved_descriptor_blocks,
                resize_inode,
                journal_blocks: match features.journal() {
                    true => journal_blocks(blocks),
                    false => 0,
                },
            });
        }
    }

    /// Returns the total number of inodes.
    pub fn inodes(&self) -> u64 {
        self.inodes_per_group * self.groups
    }

    /// Returns the number of blocks that Linux reserves for splitting extents while the file system
    /// is mounted, and that not even root can use: 2 %, at most 4,096 (`ext4_set_resv_clusters` in
    /// fs/ext4/super.c, formerly `ext4_calculate_resv_clusters`).
    pub fn reserved_by_linux(&self) -> u64 {
        match self.features.extents() {
            true => (self.blocks / 50).min(4096),
            false => 0,
        }
    }

    /// Returns the first block of `group`.
    pub fn first_block(&self, group: u64) -> u64 {
        group * self.blocks_per_group
    }

    /// Returns the number of blocks in `group`.
    pub fn group_blocks(&self, group: u64) -> u64 {
        self.blocks_per_group
            .min(self.blocks - self.first_block(group))
    }

    /// Returns the number of blocks at the beginning of `group` for copies of the superblock and
    /// the descriptor table.
    pub fn superblock_blocks(&self, group: u64) -> u64 {
        match has_superblock(group) {
            true => 1 + self.descriptor_blocks + self.reserved_descriptor_blocks,
            false => 0,
        }
    }

    /// Returns the groups with a copy of the superblock in order, including group 0.
    pub fn superblock_groups(&self) -> Vec<u64> {
        let mut groups = vec![0, 1];
        for base in [3u64, 5, 7] {
            let powers = std::iter::successors(Some(base), |power| power.checked_mul(base));
            groups.extend(powers.take_while(|&group| group < self.groups));
        }
        groups.retain(|&group| group < self.groups);
        groups.sort_unstable();
        groups
    }

    /// Returns the number of blocks in use in a file system without files.
    pub fn own_blocks(&self) -> u64 {
        let map = mapping::blocks(self.features, self.journal_blocks);
        self.overhead() + u64::from(self.resize_inode) + map
    }

    /// Returns the number of blocks that are not counted in the total size that Linux shows, as in
    /// the superblock: without blocks that map others.
    pub fn overhead(&self) -> u64 {
        // usize to u64: lossless.
        let copies = self.superblock_groups().len() as u64;
        let table = self.descriptor_blocks + self.reserved_descriptor_blocks;
        copies * (1 + table) + self.groups * (2 + self.inode_table_blocks) + self.journal_blocks
    }

    /// Returns the last group of the flexible block group that contains `group`.
    pub fn last_of_flex(&self, group: u64) -> u64 {
        (group | (FLEX_SIZE - 1)).min(self.groups - 1)
    }
}

/// Returns whether `group` has a copy of the superblock: `sparse_super`, groups 0, 1 and the powers
/// of 3, 5 and 7.
pub fn has_superblock(group: u64) -> bool {
    let is_power = |base: u64| {
        let mut rest = group;
        while rest > 1 && rest.is_multiple_of(base) {
            rest /= base;
        }
        rest == 1
    };
    group <= 1 || is_power(3) || is_power(5) || is_power(7)
}

/// Returns the bytes per inode, as in the types `floppy`, `small`, `big` and `huge` of
/// `mke2fs.conf`.
fn inode_ratio(blocks: u64) -> u64 {
    let mib = blocks / ((1 << 20) / BLOCK_SIZE);
    match mib {
        0..3 => 8192,
        3..512 => 4096,
        512..0x40_0000 => 16384,
        0x40_0000..0x100_0000 => 32768,
        _ => 65536,
    }
}

fn inode_table_blocks(inodes: u64, groups: u64) -> u64 {
    let mut per_group = inodes.div_ceil(groups);
    loop {
        let blocks = per_group.div_ceil(INODES_PER_BLOCK);
        if blocks * INODES_PER_BLOCK * groups <= u64::from(u32::MAX) || per_group <= 1 {
            return blocks;
        }
        per_group -= 1;
    }
}

fn descriptors_per_block(features: &Features) -> u64 {
    // usize to u64: lossless.
    BLOCK_SIZE / features.descriptor_size() as u64
}

/// Returns the number of groups for which there is room to grow: to 1,024 times the length, but at
/// most to 2^32 blocks.
fn most_groups(blocks: u64, per_group: u64) -> u64 {
    let most = u64::from(u32::MAX);
    let most = match blocks < most / 1024 {
        true => blocks * 1024,
        false => most,
    };
    most.div_ceil(per_group)
}

fn journal_blocks(blocks: u64) -> u64 {
    match blocks {
        0..2048 => 0,
        2048..32_768 => 1024,
        32_768..262_144 => 4096,
        262_144..524_288 => 8192,
        524_288..4_194_304 => 16_384,
        4_194_304..8_388_608 => 32_768,
        8_388_608..16_777_216 => 65_536,
        16_777_216..33_554_432 => 131_072,
        _ => 262_144,
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::{EXT2, EXT3, EXT4};
    use super::*;

    #[test]
    fn computes_the_sizes_of_mkfs_ext4() {
        // From `mkfs.ext4 -b 4096` 1.47.0 and `dumpe2fs -h`: blocks requested; blocks, reserved,
        // blocks per group, inodes per group, reserved descriptor blocks, journal.
        for (device, blocks, reserved, per_group, inodes, descriptors, journal) in [
            (2048, 2048, 102, 32768, 2048, 0, 1024),
            (25_600, 25_600, 1280, 32768, 25_600, 12, 1024),
            (153_600, 153_600, 7680, 32768, 7680, 74, 4096),
            (786_432, 786_432, 39_321, 32768, 8192, 383, 16_384),
        ] {
            let geometry = Geometry::new(&EXT4, device, 0).unwrap();
            assert_eq!(
                (
                    geometry.blocks,
                    geometry.reserved,
                    geometry.blocks_per_group,
                    geometry.inodes_per_group,
                    geometry.reserved_descriptor_blocks,
                    geometry.journal_blocks
                ),
                (blocks, reserved, per_group, inodes, descriptors, journal),
                "{device}"
            );
        }
    }

    #[test]
    fn computes_the_sizes_of_mkfs_ext2_and_ext3() {
        // From `mkfs.ext3 -b 4096` 1.47.0 and `dumpe2fs -h`: blocks; inodes per group, reserved
        // descriptor blocks, journal, overhead.
        for (blocks, inodes, descriptors, journal, overhead) in
            [(2048, 2048, 0, 1024, 1156), (153_600, 7680, 37, 4096, 6623)]
        {
            let geometry = Geometry::new(&EXT3, blocks, 0).unwrap();
            assert_eq!(
                (
                    geometry.blocks,
                    geometry.inodes_per_group,
                    geometry.reserved_descriptor_blocks,
                    geometry.journal_blocks,
                    geometry.overhead()
                ),
                (blocks, inodes, descriptors, journal, overhead),
            );
            let without = Geometry::new(&EXT2, blocks, 0).unwrap();
            assert_eq!(without.overhead(), overhead - journal);
            assert_eq!(without.reserved_by_linux(), 0);
        }
    }

    #[test]
    fn linux_reserves_2_percent_and_at_most_4096_blocks() {
        for (blocks, reserved) in [
            (2048, 40),
            (43_008, 860),
            (204_799, 4095),
            (204_800, 4096),
            (1 << 30, 4096),
        ] {
            let geometry = Geometry::new(&EXT4, blocks, 0).unwrap();
            assert_eq!(
                (geometry.blocks, geometry.reserved_by_linux()),
                (blocks, reserved)
            );
        }
    }

    #[test]
    fn superblock_copies_are_in_groups_0_1_and_powers_of_3_5_and_7() {
        let geometry = Geometry::new(&EXT4, 100 * 32768, 0).unwrap();
        let groups = geometry.superblock_groups();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81]);
        let tested: Vec<u64> = (0..100).filter(|&group| has_superblock(group)).collect();
        assert_eq!(groups, tested);
    }

    #[test]
    fn groups_shrink_only_as_far_as_the_inodes_require() {
        for (device, inodes, groups, per_group) in [
            (153_600, 163_840, 5, 32_768),
            (153_600, 163_841, 6, 30_344),
            (153_600, 1_000_000, 31, 5048),
            (200_000, 240_020, 8, 28_272),
            (40_000, 70_000, 3, 19_240),
            (30_000, 300_000, 10, 3096),
            (786_432, 3_000_000, 92, 8616),
        ] {
            let found = Geometry::new(&EXT4, device, inodes).map_or((0, 0), |geometry| {
                (geometry.groups, geometry.blocks_per_group)
            });
            assert_eq!(found, (groups, per_group), "{device} {inodes}");
        }
    }

    #[test]
    fn adds_inodes_beyond_the_number_of_mkfs_when_needed() {
        let geometry = Geometry::new(&EXT4, 153_600, 100_000).unwrap();
        assert!(geometry.inodes() >= 100_000 && geometry.inodes() < 100_100);
        assert_eq!(Geometry::new(&EXT4, 2048, 2048 * 16), None);
        assert_eq!(Geometry::new(&EXT4, 0, 0), None);
        assert_eq!(Geometry::new(&EXT4, 100, 0), Geometry::new(&EXT4, 100, 12));
    }
}
