//! Headers that directories and attributes share.

use std::mem::offset_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::little_endian;
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct xfs_da3_blkinfo`: the beginning of leaves and nodes.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct BlkInfo {
    /// The next block on the same level, or 0.
    pub forw: U32,
    /// The previous one, or 0.
    pub back: U32,
    /// What kind of block it is.
    pub magic: U16,
    pub pad: U16,
    /// CRC-32C of the block.
    pub crc: little_endian::U32,
    /// The block's address in sectors.
    pub blkno: U64,
    pub lsn: U64,
    pub uuid: [u8; 16],
    /// Number of the inode.
    pub owner: U64,
}

impl BlkInfo {
    /// `XFS_DA3_NODE_MAGIC`.
    pub const NODE: u16 = 0x3ebe;
    /// `XFS_ATTR3_LEAF_MAGIC`.
    pub const ATTR_LEAF: u16 = 0x3bee;
    /// `XFS_DIR3_LEAF1_MAGIC`: the only leaf of a directory.
    pub const DIR_LEAF1: u16 = 0x3df1;
    /// `XFS_DIR3_LEAFN_MAGIC`: a leaf of a directory that has an index of free space.
    pub const DIR_LEAFN: u16 = 0x3dff;
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(BlkInfo, crc);
}

/// `struct xfs_da3_node_hdr`: followed by hashes and block numbers.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct NodeHeader {
    pub info: BlkInfo,
    /// Number of entries.
    pub count: U16,
    /// Level above the leaves.
    pub level: U16,
    pub pad32: U32,
}

const _: () = assert!(size_of::<BlkInfo>() == 56 && BlkInfo::CHECKSUM == 12);
const _: () = assert!(size_of::<NodeHeader>() == 64);
