//! The journal: where it is, and its superblock (kernel, Documentation/filesystems/ext4/journal.rst).

use super::geometry::Geometry;
use super::used::Used;
use super::{BLOCK, BLOCK_SIZE, FLEX_SIZE};

/// Where `mkfs.ext4` would like the journal to begin: near the middle, in a group with room.
pub fn goal(geometry: &Geometry, used: &Used) -> u64 {
    let free = |group: u64| {
        let first = geometry.first_block(group);
        let length = geometry.group_blocks(group);
        length - used.count(first..first + length)
    };
    let mut middle = (geometry.blocks / 2) / geometry.blocks_per_group;
    let start = if middle > FLEX_SIZE {
        middle -= middle % FLEX_SIZE;
        middle = (middle..geometry.groups)
            .find(|&group| free(group) > 0)
            .unwrap_or(0);
        middle
    } else {
        middle.saturating_sub(1)
    };
    let end = (middle + 1).min(geometry.groups - 1);
    let mut best = start;
    for group in start + 1..=end {
        if free(group) > free(best) {
            best = group;
        }
    }
    geometry.first_block(best)
}

/// The first block of a journal of `blocks` blocks in the file system `uuid`; the others are zero.
pub fn superblock(blocks: u64, uuid: &[u8; 16]) -> Vec<u8> {
    let mut block = vec![0; BLOCK_SIZE];
    let mut field = |at: usize, value: u64| {
        // The journal's fields are 32 bits, the highest byte first.
        block[at..at + 4].copy_from_slice(&value.to_be_bytes()[4..]);
    };
    field(0x00, 0xc03b_3998);
    field(0x04, 4); // a superblock of version 2
    field(0x0c, BLOCK);
    field(0x10, blocks);
    field(0x14, 1); // first block of the log
    field(0x18, 1); // first transaction
    field(0x40, 1); // users
    block[0x30..0x40].copy_from_slice(uuid);
    block
}

#[cfg(test)]
mod tests {
    use super::super::tables;
    use super::*;

    #[test]
    fn the_journal_begins_where_mkfs_ext4_begins_it() {
        // From `debugfs -R "stat <8>"` in images of `mkfs.ext4 -b 4096` 1.47.0.
        for (blocks, first) in [(153_600, 65_536), (2048, 0)] {
            let geometry = Geometry::new(blocks, 0).unwrap();
            let (_, used) = tables::allocate(&geometry).unwrap();
            assert_eq!(goal(&geometry, &used), first);
        }
    }
}
