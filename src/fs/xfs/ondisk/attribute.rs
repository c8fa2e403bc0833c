//! Blocks of extended attributes, and of long link targets, which have the same header.

use std::mem::offset_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::little_endian;
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

use super::BlkInfo;

/// `struct xfs_attr3_leaf_hdr`: before entries sorted by hash.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct AttrLeafHeader {
    pub info: BlkInfo,
    /// Number of entries.
    pub count: U16,
    /// Bytes of names and values.
    pub usedbytes: U16,
    /// Offset of the first of them.
    pub firstused: U16,
    pub holes: u8,
    pub pad1: u8,
    /// Free ranges: offset and length in bytes.
    pub freemap: [[U16; 2]; 3],
    pub pad2: U32,
}

/// `struct xfs_attr_leaf_entry`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct LeafEntry {
    /// Hash of the name.
    pub hashval: U32,
    /// Offset of the name in the block.
    pub nameidx: U16,
    /// See [`attr_flags`].
    pub flags: u8,
    pub pad2: u8,
}

/// Flags of an attribute: `XFS_ATTR_*`.
pub mod attr_flags {
    /// The value follows the name.
    pub const LOCAL: u8 = 1;
    /// `trusted.*`, and access control lists.
    pub const ROOT: u8 = 2;
    /// `security.*`.
    pub const SECURE: u8 = 4;
}

/// `struct xfs_attr3_rmt_hdr` and `struct xfs_dsymlink_hdr`: at the beginning of each block of a
/// value, or of the block of a link target.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct AttrRemoteHeader {
    /// [`AttrRemoteHeader::VALUE`] or [`AttrRemoteHeader::SYMLINK`].
    pub magic: U32,
    /// Where this part begins in the value.
    pub offset: U32,
    /// Length of this part in bytes.
    pub bytes: U32,
    /// CRC-32C of the block.
    pub crc: little_endian::U32,
    pub uuid: [u8; 16],
    /// Number of the inode.
    pub owner: U64,
    /// The block's address in sectors.
    pub blkno: U64,
    /// For values, `NULLCOMMITLSN`, because they are not logged.
    pub lsn: U64,
}

impl AttrRemoteHeader {
    /// `XFS_ATTR3_RMT_MAGIC`.
    pub const VALUE: U32 = U32::new(0x5841_524d);
    /// `XFS_SYMLINK_MAGIC`.
    pub const SYMLINK: U32 = U32::new(0x5853_4c4d);
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(AttrRemoteHeader, crc);
}

const _: () = assert!(size_of::<AttrLeafHeader>() == 80);
const _: () = assert!(size_of::<LeafEntry>() == 8);
const _: () = assert!(size_of::<AttrRemoteHeader>() == 56);
