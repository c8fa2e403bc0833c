//! Blocks and records of B+trees.

use std::mem::offset_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::little_endian;
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct xfs_btree_block` with `struct xfs_btree_block_shdr`: for the trees of an allocation
/// group.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct ShortBlockHeader {
    /// Which tree it is.
    pub bb_magic: U32,
    /// 0 is a leaf.
    pub bb_level: U16,
    /// Number of records, or of keys and pointers.
    pub bb_numrecs: U16,
    /// Neighbors on the same level, or [`ShortBlockHeader::NULL`].
    pub bb_leftsib: U32,
    pub bb_rightsib: U32,
    /// The block's address in sectors.
    pub bb_blkno: U64,
    pub bb_lsn: U64,
    pub bb_uuid: [u8; 16],
    /// Number of the allocation group.
    pub bb_owner: U32,
    /// CRC-32C of the block.
    pub bb_crc: little_endian::U32,
}

impl ShortBlockHeader {
    /// `NULLAGBLOCK`.
    pub const NULL: u32 = u32::MAX;
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(ShortBlockHeader, bb_crc);
}

/// Size of [`ShortBlockHeader`].
pub const SHORT_HEADER: usize = size_of::<ShortBlockHeader>();

/// `struct xfs_btree_block` with `struct xfs_btree_block_lhdr`: for the extents of an inode.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct BmbtBlockHeader {
    /// [`BmbtBlockHeader::MAGIC`].
    pub bb_magic: U32,
    /// 0 is a leaf.
    pub bb_level: U16,
    /// Number of records, or of keys and pointers.
    pub bb_numrecs: U16,
    /// Neighbors on the same level, or [`BmbtBlockHeader::NULL`].
    pub bb_leftsib: U64,
    pub bb_rightsib: U64,
    /// The block's address in sectors.
    pub bb_blkno: U64,
    pub bb_lsn: U64,
    pub bb_uuid: [u8; 16],
    /// Number of the inode.
    pub bb_owner: U64,
    /// CRC-32C of the block.
    pub bb_crc: little_endian::U32,
    pub bb_pad: U32,
}

impl BmbtBlockHeader {
    /// `XFS_BMAP_CRC_MAGIC`.
    pub const MAGIC: U32 = U32::new(0x424d_4133);
    /// `NULLFSBLOCK`.
    pub const NULL: u64 = u64::MAX;
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(BmbtBlockHeader, bb_crc);
}

/// `struct xfs_bmbt_rec`: an extent of a file.
#[derive(Clone, Copy, FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct BmbtRecord {
    /// The block in the file (bits 9 to 62), and bits 43 to 51 of the block in the file system.
    pub l0: U64,
    /// The low 43 bits of the block in the file system, and 21 bits of length in blocks.
    pub l1: U64,
}

/// `struct xfs_rmap_rec`: the owner of a range of blocks.
#[derive(Clone, Copy, FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct RmapRecord {
    /// First block, counted from the beginning of the allocation group.
    pub rm_startblock: U32,
    /// Number of blocks.
    pub rm_blockcount: U32,
    /// An inode's number, or one of the `OWN_*` constants.
    pub rm_owner: U64,
    /// The block in the inode, and flags.
    pub rm_offset: U64,
}

impl RmapRecord {
    /// `XFS_RMAP_OWN_FS`: headers of the group.
    pub const OWN_FS: u64 = u64::MAX - 2;
    /// `XFS_RMAP_OWN_LOG`: the log.
    pub const OWN_LOG: u64 = u64::MAX - 3;
    /// `XFS_RMAP_OWN_AG`: the trees of [`super::Agf`], and the blocks in [`super::Agfl`].
    pub const OWN_AG: u64 = u64::MAX - 4;
    /// `XFS_RMAP_OWN_INOBT`: the trees of [`super::Agi`].
    pub const OWN_INOBT: u64 = u64::MAX - 5;
    /// `XFS_RMAP_OWN_INODES`: chunks of inodes.
    pub const OWN_INODES: u64 = u64::MAX - 6;
    /// `XFS_RMAP_OWN_REFC`: the tree of reference counts.
    pub const OWN_REFC: u64 = u64::MAX - 7;

    /// `XFS_RMAP_OFF_ATTR_FORK`: the block belongs to the attributes.
    pub const ATTR_FORK: u64 = 1 << 63;
    /// `XFS_RMAP_OFF_BMBT_BLOCK`: the block belongs to the tree of extents.
    pub const BMBT_BLOCK: u64 = 1 << 62;
}

const _: () = assert!(SHORT_HEADER == 56 && ShortBlockHeader::CHECKSUM == 52);
const _: () = assert!(size_of::<BmbtBlockHeader>() == 72 && BmbtBlockHeader::CHECKSUM == 64);
const _: () = assert!(size_of::<RmapRecord>() == 24);
