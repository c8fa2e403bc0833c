//! Blocks of directories.

use std::mem::offset_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::little_endian;
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

use super::BlkInfo;

/// `struct xfs_dir3_data_hdr`: before the entries.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DataHeader {
    /// [`DataHeader::BLOCK`] or [`DataHeader::DATA`].
    pub magic: U32,
    /// CRC-32C of the block.
    pub crc: little_endian::U32,
    /// The block's address in sectors.
    pub blkno: U64,
    pub lsn: U64,
    pub uuid: [u8; 16],
    /// Number of the directory.
    pub owner: U64,
    /// The three longest free ranges: offset and length in bytes.
    pub best_free: [[U16; 2]; 3],
    pub pad: U32,
}

impl DataHeader {
    /// `XFS_DIR3_BLOCK_MAGIC`: the only block of a directory.
    pub const BLOCK: U32 = U32::new(0x5844_4233);
    /// `XFS_DIR3_DATA_MAGIC`.
    pub const DATA: U32 = U32::new(0x5844_4433);
    /// `XFS_DIR2_DATA_FREE_TAG`: the beginning of a free range.
    pub const FREE_TAG: U16 = U16::new(0xffff);
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(DataHeader, crc);
}

/// `struct xfs_dir3_leaf_hdr`: before entries sorted by hash.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DirLeafHeader {
    pub info: BlkInfo,
    /// Number of entries.
    pub count: U16,
    pub stale: U16,
    pub pad: U32,
}

/// `struct xfs_dir2_leaf_entry`, and `struct xfs_da_node_entry`, which has the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DirLeafEntry {
    /// Hash of the name; in a node, the highest hash below the entry.
    pub hashval: U32,
    /// Offset of the entry in units of 8 bytes; in a node, the number of a block.
    pub address: U32,
}

/// `struct xfs_dir3_free_hdr`: before the longest free range of each data block.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct FreeHeader {
    /// [`FreeHeader::MAGIC`].
    pub magic: U32,
    /// CRC-32C of the block.
    pub crc: little_endian::U32,
    /// The block's address in sectors.
    pub blkno: U64,
    pub lsn: U64,
    pub uuid: [u8; 16],
    /// Number of the directory.
    pub owner: U64,
    /// The data block of the first number.
    pub firstdb: U32,
    /// Number of numbers.
    pub nvalid: U32,
    /// Number of those that stand for a block.
    pub nused: U32,
    pub pad: U32,
}

impl FreeHeader {
    /// `XFS_DIR3_FREE_MAGIC`.
    pub const MAGIC: U32 = U32::new(0x5844_4633);
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(FreeHeader, crc);
}

/// Types of inodes in directory entries: `XFS_DIR3_FT_*`.
pub mod file_type {
    pub const FILE: u8 = 1;
    pub const DIRECTORY: u8 = 2;
    pub const CHARACTER_DEVICE: u8 = 3;
    pub const BLOCK_DEVICE: u8 = 4;
    pub const FIFO: u8 = 5;
    pub const SOCKET: u8 = 6;
    pub const SYMLINK: u8 = 7;
}

const _: () = assert!(size_of::<DataHeader>() == 64);
const _: () = assert!(size_of::<DirLeafHeader>() == 64);
const _: () = assert!(size_of::<FreeHeader>() == 64);
