//! Inodes. Extended attributes follow, then inline data or the index of the data.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct erofs_inode_compact`. Its time is that of the superblock.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InodeCompact {
    /// A number of [`layout`] in bits 1 to 3; bit 0 is clear.
    pub i_format: U16,
    /// Length of the extended attributes; see [`super::XattrIbodyHeader`].
    pub i_xattr_icount: U16,
    /// Type and permissions.
    pub i_mode: U16,
    /// Number of hard links.
    pub i_nlink: U16,
    /// Length in bytes.
    pub i_size: U32,
    pub i_mtime: U32,
    /// First block, or number of blocks, or chunk format, or device.
    pub i_u: U32,
    /// Number for programs that only support 32 bits.
    pub i_ino: U32,
    /// Owner.
    pub i_uid: U16,
    /// Group.
    pub i_gid: U16,
    pub i_reserved: U32,
}

/// `struct erofs_inode_extended`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InodeExtended {
    /// A number of [`layout`] in bits 1 to 3; bit 0 is set.
    pub i_format: U16,
    /// Length of the extended attributes; see [`super::XattrIbodyHeader`].
    pub i_xattr_icount: U16,
    /// Type and permissions.
    pub i_mode: U16,
    pub i_nb: U16,
    /// Length in bytes.
    pub i_size: U64,
    /// First block, or number of blocks, or chunk format, or device.
    pub i_u: U32,
    /// Number for programs that only support 32 bits.
    pub i_ino: U32,
    /// Owner.
    pub i_uid: U32,
    /// Group.
    pub i_gid: U32,
    /// Time of modification in seconds since 1970.
    pub i_mtime: U64,
    /// Its nanoseconds.
    pub i_mtime_nsec: U32,
    /// Number of hard links.
    pub i_nlink: U32,
    pub i_reserved2: [u8; 16],
}

/// Where the data of an inode is.
pub mod layout {
    /// In adjacent blocks.
    pub const FLAT_PLAIN: u16 = 0;
    /// In adjacent blocks, except that what does not fill a block follows the inode.
    pub const FLAT_INLINE: u16 = 2;
    /// In compressed extents, with a compact index.
    pub const COMPRESSED_COMPACT: u16 = 3;
    /// In chunks of equal length; their block numbers follow the inode.
    pub const CHUNK_BASED: u16 = 4;
}

/// The block number of a hole, and of data without blocks.
pub const NO_BLOCK: u32 = u32::MAX;
