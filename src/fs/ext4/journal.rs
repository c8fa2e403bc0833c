//! The journal's place and superblock.

use zerocopy::FromZeros;
use zerocopy::big_endian::U32;

use super::features::FLEX_SIZE;
use super::geometry::Geometry;
use super::ondisk::{BLOCK_SIZE, JournalSuperblock};
use super::used::Used;
use crate::fs::number::{TooWide, le32};

/// Returns the block at which `mkfs` would prefer the journal to begin: near the middle, in a group
/// with room. Without extents, it is near the inode.
pub fn goal(geometry: &Geometry, used: &Used) -> u64 {
    if !geometry.features.extents() {
        return 0;
    }
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

/// Returns the superblock of a journal of `blocks` blocks in the file system `uuid`. The rest of
/// the journal is zero.
///
/// # Errors
/// If the number of blocks is too large for its field.
pub fn superblock(blocks: u64, uuid: &[u8; 16]) -> Result<JournalSuperblock, TooWide> {
    let mut superblock = JournalSuperblock::new_zeroed();
    superblock.h_magic = JournalSuperblock::MAGIC;
    superblock.h_blocktype = JournalSuperblock::BLOCKTYPE_V2;
    superblock.s_blocksize = U32::new(le32(BLOCK_SIZE)?.get());
    superblock.s_maxlen = U32::new(le32(blocks)?.get());
    superblock.s_first = U32::new(1);
    superblock.s_sequence = U32::new(1);
    superblock.s_nr_users = U32::new(1);
    superblock.s_uuid = *uuid;
    Ok(superblock)
}

#[cfg(test)]
mod tests {
    use super::super::features::{EXT3, EXT4};
    use super::super::tables;
    use super::*;

    #[test]
    fn the_journal_begins_where_mkfs_ext4_puts_it() {
        // From `debugfs -R "stat <8>"` in images of `mkfs.ext4 -b 4096` 1.47.0.
        for (blocks, first) in [(153_600, 65_536), (2048, 0)] {
            let geometry = Geometry::new(&EXT4, blocks, 0).unwrap();
            let (_, used) = tables::allocate(&geometry).unwrap();
            assert_eq!(goal(&geometry, &used), first);
            let geometry = Geometry::new(&EXT3, blocks, 0).unwrap();
            assert_eq!(goal(&geometry, &used), 0);
        }
    }
}
