//! Group descriptors (kernel, Documentation/filesystems/ext4/group_descr.rst).

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct ext4_group_desc`, including the fields of the feature `64bit`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct GroupDesc {
    /// Block of the block bitmap.
    pub bg_block_bitmap_lo: U32,
    /// Block of the inode bitmap.
    pub bg_inode_bitmap_lo: U32,
    /// First block of the inode table.
    pub bg_inode_table_lo: U32,
    /// Number of free blocks.
    pub bg_free_blocks_count_lo: U16,
    /// Number of free inodes.
    pub bg_free_inodes_count_lo: U16,
    /// Number of directories.
    pub bg_used_dirs_count_lo: U16,
    /// See [`bg_flags`].
    pub bg_flags: U16,
    pub bg_exclude_bitmap_lo: U32,
    /// Checksum of the block bitmap.
    pub bg_block_bitmap_csum_lo: U16,
    /// Checksum of the inode bitmap.
    pub bg_inode_bitmap_csum_lo: U16,
    /// Number of inodes after the last one in use.
    pub bg_itable_unused_lo: U16,
    /// The low half of the checksum of group number and descriptor.
    pub bg_checksum: U16,
    /// The high half of `bg_block_bitmap_lo`. Likewise for the other fields `_hi`.
    pub bg_block_bitmap_hi: U32,
    pub bg_inode_bitmap_hi: U32,
    pub bg_inode_table_hi: U32,
    pub bg_free_blocks_count_hi: U16,
    pub bg_free_inodes_count_hi: U16,
    pub bg_used_dirs_count_hi: U16,
    pub bg_itable_unused_hi: U16,
    pub bg_exclude_bitmap_hi: U32,
    pub bg_block_bitmap_csum_hi: U16,
    pub bg_inode_bitmap_csum_hi: U16,
    pub bg_reserved: U32,
}

const _: () = assert!(size_of::<GroupDesc>() == 64);

impl GroupDesc {
    /// `EXT4_MIN_DESC_SIZE`: size of the fields before `bg_block_bitmap_hi`, which are all without
    /// the feature `64bit`.
    pub const SIZE_32: usize = std::mem::offset_of!(GroupDesc, bg_block_bitmap_hi);
}

const _: () = assert!(GroupDesc::SIZE_32 == 32);

/// Bits of `bg_flags`: `EXT4_BG_*`.
pub mod bg_flags {
    /// No inode is in use, and the inode bitmap is not read.
    pub const INODE_UNINIT: u16 = 1;
    /// Only the group's own metadata is in use, and the block bitmap is not read.
    pub const BLOCK_UNINIT: u16 = 2;
    /// Unused inodes in the inode table are zero.
    pub const INODE_ZEROED: u16 = 4;
}
