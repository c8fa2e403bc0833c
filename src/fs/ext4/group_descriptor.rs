//! Group descriptors of 64 bytes (kernel, Documentation/filesystems/ext4/group_descr.rst).

use super::bytes::put;
use super::checksum::Seed;
use super::tables::GroupTables;

/// Length of a descriptor.
pub const LENGTH: usize = 64;

const INODE_UNINIT: u64 = 1;
const BLOCK_UNINIT: u64 = 2;
const INODE_TABLE_ZEROED: u64 = 4;

/// What is known of one group.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Where its bitmaps and its inode table are.
    pub tables: GroupTables,
    /// Free blocks.
    pub free_blocks: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// Inodes after the last one that is in use.
    pub unused_inodes: u64,
    /// Directories.
    pub directories: u64,
    /// Checksum of the block bitmap; `None` where nobody has to read it.
    pub block_bitmap: Option<u32>,
    /// Checksum of the inode bitmap; `None` where nobody has to read it.
    pub inode_bitmap: Option<u32>,
}

impl Group {
    /// Writes the descriptor of the group `number`. `seed` is the file system's.
    pub fn write(&self, number: u64, descriptor: &mut [u8], seed: Seed) {
        let mut flags = INODE_TABLE_ZEROED;
        if self.block_bitmap.is_none() {
            flags |= BLOCK_UNINIT;
        }
        if self.inode_bitmap.is_none() {
            flags |= INODE_UNINIT;
        }
        let block_bitmap = u64::from(self.block_bitmap.unwrap_or(0));
        let inode_bitmap = u64::from(self.inode_bitmap.unwrap_or(0));
        let mut split = |low: usize, width: usize, high: usize, value: u64| {
            put(descriptor, low, width, value);
            put(descriptor, high, width, value >> (8 * width));
        };
        split(0x00, 4, 0x20, self.tables.block_bitmap);
        split(0x04, 4, 0x24, self.tables.inode_bitmap);
        split(0x08, 4, 0x28, self.tables.inode_table);
        split(0x0c, 2, 0x2c, self.free_blocks);
        split(0x0e, 2, 0x2e, self.free_inodes);
        split(0x10, 2, 0x30, self.directories);
        split(0x18, 2, 0x38, block_bitmap);
        split(0x1a, 2, 0x3a, inode_bitmap);
        split(0x1c, 2, 0x32, self.unused_inodes);
        put(descriptor, 0x12, 2, flags);
        // The number has 32 bits.
        let checksum = seed
            .then(&number.to_le_bytes()[..4])
            .then(&descriptor[..LENGTH])
            .value();
        put(descriptor, 0x1e, 2, u64::from(checksum));
    }
}
