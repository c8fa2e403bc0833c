//! Allocation of bitmaps and inode tables: packed at the beginning of each flexible block group
//! (kernel, Documentation/filesystems/ext4/blockgroup.rst), or at the beginning of each group, as
//! `ext2fs_allocate_tables` does it.

use super::features::FLEX_SIZE;
use super::geometry::Geometry;
use super::used::Used;

/// The block numbers of one group's bitmaps and inode table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupTables {
    /// The block bitmap.
    pub block_bitmap: u64,
    /// The inode bitmap.
    pub inode_bitmap: u64,
    /// First block of the inode table.
    pub inode_table: u64,
}

/// Allocates the blocks of all superblocks, descriptor tables, bitmaps and inode tables. Returns
/// `None` if they don't fit.
pub fn allocate(geometry: &Geometry) -> Option<(Vec<GroupTables>, Used)> {
    let mut used = Used::default();
    for group in geometry.superblock_groups() {
        let first = geometry.first_block(group);
        used.mark(first..first + geometry.superblock_blocks(group));
    }
    let mut packer = Packer {
        geometry,
        used,
        tables: Vec::new(),
    };
    for group in 0..geometry.groups {
        let tables = match geometry.features.flex_bg() {
            true => packer.group_of_flex(group)?,
            false => packer.group(group)?,
        };
        packer.tables.push(tables);
    }
    Some((packer.tables, packer.used))
}

struct Packer<'a> {
    geometry: &'a Geometry,
    used: Used,
    tables: Vec<GroupTables>,
}

impl Packer<'_> {
    fn group(&mut self, group: u64) -> Option<GroupTables> {
        let first = self.geometry.first_block(group);
        let end = first + self.geometry.group_blocks(group);
        let mut take = |length: u64| {
            let found = self.used.find(first, end, length, end)?;
            self.used.mark(found..found + length);
            Some(found)
        };
        Some(GroupTables {
            block_bitmap: take(1)?,
            inode_bitmap: take(1)?,
            inode_table: take(self.geometry.inode_table_blocks)?,
        })
    }

    fn group_of_flex(&mut self, group: u64) -> Option<GroupTables> {
        let previous = match group.is_multiple_of(FLEX_SIZE) {
            true => None,
            false => self.tables.last().copied(),
        };
        let last = self.geometry.last_of_flex(group);
        // Space for the bitmaps of a whole flexible group, except in the last one, where it is for
        // the actual number of groups. If that is 1, the space is for a whole flexible group again.
        let room = match last == self.geometry.groups - 1 && !last.is_multiple_of(FLEX_SIZE) {
            true => last % FLEX_SIZE + 1,
            false => FLEX_SIZE,
        };
        let length = self.geometry.inode_table_blocks;

        let goal = previous.map_or(0, |tables| tables.block_bitmap + 1);
        let block_bitmap = self.take(group, goal, 1)?;
        let goal = previous.map_or(block_bitmap + room, |tables| tables.inode_bitmap + 1);
        let inode_bitmap = self.take(group, goal, 1)?;
        let goal = previous.map_or(inode_bitmap + room, |tables| tables.inode_table + length);
        let inode_table = self.take(group, goal, length)?;
        Some(GroupTables {
            block_bitmap,
            inode_bitmap,
            inode_table,
        })
    }

    fn take(&mut self, group: u64, goal: u64, length: u64) -> Option<u64> {
        let end = self.last_block(group);
        let start = self.start(group, goal, length);
        let mut found = self.find(start, end, length);
        if found.is_none() && length == 1 {
            found = self.find(self.geometry.first_block(group), end, length);
        }
        let found = found?;
        self.used.mark(found..found + length);
        Some(found)
    }

    /// Returns where to start the search: at `goal` or a little after it, else at the first place
    /// in the flexible group where all its remaining tables fit, else where this one fits.
    fn start(&self, group: u64, goal: u64, length: u64) -> u64 {
        let groups_left = self.geometry.last_of_flex(group) - group + 1;
        let all = (groups_left * length).min(self.geometry.blocks_per_group / 4);
        let end = self.last_block(group);
        if goal > 0
            && goal < self.geometry.blocks
            && let Some(found) = self.find(goal, goal + all, length)
        {
            return found;
        }
        let flex = self.geometry.first_block(group - group % FLEX_SIZE);
        self.find(flex, end, all)
            .or_else(|| self.find(flex, end, length))
            .or_else(|| self.find(0, end, length))
            .unwrap_or(0)
    }

    /// Returns the last block of the flexible group that contains `group`.
    fn last_block(&self, group: u64) -> u64 {
        let last = self.geometry.last_of_flex(group);
        self.geometry.first_block(last) + self.geometry.group_blocks(last) - 1
    }

    /// Like `ext2fs_get_free_blocks2`, returns the first place at or after `start` and before
    /// `finish`. If `finish` is not after `start`, the search wraps around at the end.
    fn find(&self, start: u64, finish: u64, length: u64) -> Option<u64> {
        let limit = self.geometry.blocks;
        if finish > start {
            return self.used.find(start, finish, length, limit);
        }
        self.used
            .find(start, limit, length, limit)
            .or_else(|| self.used.find(0, finish, length, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::{EXT3, EXT4};
    use super::*;

    #[test]
    fn tables_are_where_mkfs_ext4_puts_them() {
        // From `dumpe2fs` of an image of `mkfs.ext4 -b 4096` 1.47.0, 600 MiB.
        let geometry = Geometry::new(&EXT4, 153_600, 0).unwrap();
        let (tables, used) = allocate(&geometry).unwrap();
        let expected: Vec<GroupTables> = (0..5)
            .map(|group| GroupTables {
                block_bitmap: 76 + group,
                inode_bitmap: 81 + group,
                inode_table: 86 + 480 * group,
            })
            .collect();
        assert_eq!(tables, expected);
        let taken = used.count(0..geometry.blocks);
        assert_eq!(taken + geometry.journal_blocks, 6734);
        assert_eq!(geometry.overhead(), 6734);
        assert_eq!(geometry.own_blocks(), 6734 + 1);
        // 8 MiB: a single group, with room for the bitmaps of sixteen.
        let (tables, _) = allocate(&Geometry::new(&EXT4, 2048, 0).unwrap()).unwrap();
        assert_eq!(
            (
                tables[0].block_bitmap,
                tables[0].inode_bitmap,
                tables[0].inode_table
            ),
            (2, 18, 34)
        );
    }

    #[test]
    fn tables_are_where_mkfs_ext3_puts_them() {
        // From `dumpe2fs` of an image of `mkfs.ext3 -b 4096` 1.47.0, 600 MiB.
        let geometry = Geometry::new(&EXT3, 153_600, 0).unwrap();
        let (tables, used) = allocate(&geometry).unwrap();
        let first: Vec<u64> = tables.iter().map(|tables| tables.block_bitmap).collect();
        assert_eq!(first, [39, 32_807, 65_536, 98_343, 131_072]);
        for tables in tables {
            assert_eq!(tables.inode_bitmap, tables.block_bitmap + 1);
            assert_eq!(tables.inode_table, tables.block_bitmap + 2);
        }
        assert_eq!(used.count(0..153_600) + geometry.journal_blocks, 6623);
        // 4,096 blocks of the journal, four blocks of its map, one of the resize inode.
        assert_eq!(geometry.own_blocks(), 6623 + 5 + 1);
    }
}
