//! Headers of an allocation group, each in a sector of its own after the superblock.

use std::mem::offset_of;

use zerocopy::big_endian::{U32, U64};
use zerocopy::little_endian;
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct xfs_agf`: free space and reverse mappings.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Agf {
    /// [`Agf::MAGIC`].
    pub agf_magicnum: U32,
    /// 1.
    pub agf_versionnum: U32,
    /// Number of the group.
    pub agf_seqno: U32,
    /// Length of the group in blocks.
    pub agf_length: U32,
    /// Roots of the B+trees of free space by block and by length, and of reverse mappings.
    pub agf_roots: [U32; 3],
    /// Their levels.
    pub agf_levels: [U32; 3],
    /// First and last index in use in [`Agfl`].
    pub agf_flfirst: U32,
    pub agf_fllast: U32,
    /// Number of blocks in it.
    pub agf_flcount: U32,
    /// Number of free blocks, without those in [`Agfl`].
    pub agf_freeblks: U32,
    /// The longest range of free blocks.
    pub agf_longest: U32,
    /// Number of blocks of the three trees, without their roots.
    pub agf_btreeblks: U32,
    pub agf_uuid: [u8; 16],
    /// Number of blocks of the reverse mapping tree.
    pub agf_rmap_blocks: U32,
    /// The tree of reference counts: blocks, root and levels.
    pub agf_refcount_blocks: U32,
    pub agf_refcount_root: U32,
    pub agf_refcount_level: U32,
    pub agf_spare64: [U64; 14],
    pub agf_lsn: U64,
    /// CRC-32C of the sector.
    pub agf_crc: little_endian::U32,
    pub agf_spare2: U32,
}

impl Agf {
    /// `XFS_AGF_MAGIC`.
    pub const MAGIC: U32 = U32::new(0x5841_4746);
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(Agf, agf_crc);
}

/// `struct xfs_agi`: inodes.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Agi {
    /// [`Agi::MAGIC`].
    pub agi_magicnum: U32,
    /// 1.
    pub agi_versionnum: U32,
    /// Number of the group.
    pub agi_seqno: U32,
    /// Length of the group in blocks.
    pub agi_length: U32,
    /// Number of inodes in all chunks of the group.
    pub agi_count: U32,
    /// Root and levels of the inode B+tree.
    pub agi_root: U32,
    pub agi_level: U32,
    /// Number of free inodes.
    pub agi_freecount: U32,
    /// The newest chunk, or [`Agi::NULL`].
    pub agi_newino: U32,
    /// [`Agi::NULL`].
    pub agi_dirino: U32,
    /// [`Agi::NULL`]: no unlinked inodes.
    pub agi_unlinked: [U32; 64],
    pub agi_uuid: [u8; 16],
    /// CRC-32C of the sector.
    pub agi_crc: little_endian::U32,
    pub agi_pad32: U32,
    pub agi_lsn: U64,
    /// Root and levels of the B+tree of chunks with free inodes.
    pub agi_free_root: U32,
    pub agi_free_level: U32,
    /// Blocks of both trees.
    pub agi_iblocks: U32,
    pub agi_fblocks: U32,
}

impl Agi {
    /// `XFS_AGI_MAGIC`.
    pub const MAGIC: U32 = U32::new(0x5841_4749);
    /// `NULLAGINO`.
    pub const NULL: U32 = U32::new(u32::MAX);
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(Agi, agi_crc);
}

/// `struct xfs_agfl` and the list after it: free blocks for B+trees of the group.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Agfl {
    /// [`Agfl::MAGIC`].
    pub agfl_magicnum: U32,
    /// Number of the group.
    pub agfl_seqno: U32,
    pub agfl_uuid: [u8; 16],
    pub agfl_lsn: U64,
    /// CRC-32C of the sector.
    pub agfl_crc: little_endian::U32,
    /// Blocks in the group, or [`Agfl::NULL`].
    pub agfl_bno: [U32; 119],
}

impl Agfl {
    /// `XFS_AGFL_MAGIC`.
    pub const MAGIC: U32 = U32::new(0x5841_464c);
    /// `NULLAGBLOCK`.
    pub const NULL: U32 = U32::new(u32::MAX);
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(Agfl, agfl_crc);
}

const _: () = assert!(size_of::<Agf>() == 224 && Agf::CHECKSUM == 216);
const _: () = assert!(size_of::<Agi>() == 344 && Agi::CHECKSUM == 312);
const _: () = assert!(size_of::<Agfl>() == 512);
