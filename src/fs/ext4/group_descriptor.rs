//! Encoding of group descriptors.

use zerocopy::little_endian::U16;
use zerocopy::{FromZeros, IntoBytes};

use super::checksum::Seed;
use super::features::Features;
use super::ondisk::{GroupDesc, bg_flags};
use super::tables::GroupTables;
use crate::fs::number::{TooWide, le32, split32, split64};

/// The properties of a block group.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The places of its bitmaps and inode table.
    pub tables: GroupTables,
    /// Number of free blocks.
    pub free_blocks: u64,
    /// Number of free inodes.
    pub free_inodes: u64,
    /// Number of inodes after the last one in use.
    pub unused_inodes: u64,
    /// Number of directories.
    pub directories: u64,
    /// Checksum of the block bitmap; `None` if the bitmap need not be read.
    pub block_bitmap: Option<u32>,
    /// Checksum of the inode bitmap; `None` if the bitmap need not be read.
    pub inode_bitmap: Option<u32>,
}

impl Group {
    /// Encodes the descriptor of the group `number`. `seed` is the seed of the file system.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn encode(
        &self,
        number: u64,
        seed: Seed,
        features: &Features,
    ) -> Result<GroupDesc, TooWide> {
        // Without checksums, no descriptor has flags, and every inode bitmap and table is read.
        let (mut flags, unused_inodes) = match features.metadata_csum() {
            true => (bg_flags::INODE_ZEROED, self.unused_inodes),
            false => (0, 0),
        };
        if self.block_bitmap.is_none() {
            flags |= bg_flags::BLOCK_UNINIT;
        }
        if self.inode_bitmap.is_none() {
            flags |= bg_flags::INODE_UNINIT;
        }
        let count = |value: u64| le32(value).map(|value| split32(value.get()));
        let mut desc = GroupDesc::new_zeroed();
        desc.bg_flags = U16::new(flags);
        (desc.bg_block_bitmap_lo, desc.bg_block_bitmap_hi) = split64(self.tables.block_bitmap);
        (desc.bg_inode_bitmap_lo, desc.bg_inode_bitmap_hi) = split64(self.tables.inode_bitmap);
        (desc.bg_inode_table_lo, desc.bg_inode_table_hi) = split64(self.tables.inode_table);
        (desc.bg_free_blocks_count_lo, desc.bg_free_blocks_count_hi) = count(self.free_blocks)?;
        (desc.bg_free_inodes_count_lo, desc.bg_free_inodes_count_hi) = count(self.free_inodes)?;
        (desc.bg_used_dirs_count_lo, desc.bg_used_dirs_count_hi) = count(self.directories)?;
        (desc.bg_itable_unused_lo, desc.bg_itable_unused_hi) = count(unused_inodes)?;
        (desc.bg_block_bitmap_csum_lo, desc.bg_block_bitmap_csum_hi) =
            split32(self.block_bitmap.unwrap_or(0));
        (desc.bg_inode_bitmap_csum_lo, desc.bg_inode_bitmap_csum_hi) =
            split32(self.inode_bitmap.unwrap_or(0));
        let checksum = seed.then(le32(number)?.as_bytes()).then(desc.as_bytes());
        (desc.bg_checksum, _) = split32(checksum.value());
        Ok(desc)
    }
}
