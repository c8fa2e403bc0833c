//! Group descriptors.

use anyhow::{Result, ensure};
use zerocopy::FromZeros;

use super::Ext;
use crate::fs::ext4::ondisk::{GroupDesc, bg_flags};

/// The descriptor of a group.
pub struct Group {
    /// The block of its bitmap of blocks.
    pub block_bitmap: u64,
    /// The block of its bitmap of inodes.
    pub inode_bitmap: u64,
    /// The first block of its inode table.
    pub inode_table: u64,
    /// Whether its bitmap of inodes has not been written.
    pub no_inodes: bool,
}

impl Ext<'_> {
    /// Reads the descriptor of group `number`.
    ///
    /// # Errors
    /// If there is no such group, or its structures are outside of the file system.
    pub fn group(&self, number: u64) -> Result<Group> {
        let geometry = &self.geometry;
        ensure!(
            number < geometry.groups,
            "there are {} groups, but group {number} is needed: the file system is damaged",
            geometry.groups
        );
        let size = usize::try_from(geometry.descriptor)?;
        let mut found = GroupDesc::new_zeroed();
        let bytes = zerocopy::IntoBytes::as_mut_bytes(&mut found);
        let count = size.min(bytes.len());
        let within = number % geometry.descriptors_per_block();
        let block = geometry
            .descriptor_block(number)
            .saturating_mul(geometry.block);
        let at = block.saturating_add(within.saturating_mul(geometry.descriptor));
        self.region
            .read(at, &mut bytes[..count], "a group descriptor")?;
        let wide = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        let flags = match geometry.may_be_uninitialized {
            true => found.bg_flags.get(),
            false => 0,
        };
        let group = Group {
            block_bitmap: wide(
                found.bg_block_bitmap_lo.get(),
                found.bg_block_bitmap_hi.get(),
            ),
            inode_bitmap: wide(
                found.bg_inode_bitmap_lo.get(),
                found.bg_inode_bitmap_hi.get(),
            ),
            inode_table: wide(found.bg_inode_table_lo.get(), found.bg_inode_table_hi.get()),
            no_inodes: flags & bg_flags::INODE_UNINIT != 0,
        };
        let table_end = group.inode_table.saturating_add(self.inode_table_blocks());
        for (what, first, end) in [
            (
                "bitmap of blocks",
                group.block_bitmap,
                group.block_bitmap.saturating_add(1),
            ),
            (
                "bitmap of inodes",
                group.inode_bitmap,
                group.inode_bitmap.saturating_add(1),
            ),
            ("inode table", group.inode_table, table_end),
        ] {
            ensure!(
                first > 0 && end <= geometry.blocks,
                "the {what} of group {number} is at block {first}, but there are {} blocks: the file \
                 system is damaged",
                geometry.blocks
            );
        }
        Ok(group)
    }

    /// Blocks of a group's part of the inode table.
    pub fn inode_table_blocks(&self) -> u64 {
        let bytes = self
            .geometry
            .inodes_per_group
            .saturating_mul(self.geometry.inode);
        bytes.div_ceil(self.geometry.block)
    }
}
