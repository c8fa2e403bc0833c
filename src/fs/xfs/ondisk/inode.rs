//! Inodes.

use std::mem::offset_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::little_endian;
use zerocopy::{FromBytes, Immutable, IntoBytes, Unaligned};

/// `struct xfs_dinode`, version 3, and the area behind it.
#[derive(FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Dinode {
    /// [`Dinode::MAGIC`].
    pub di_magic: U16,
    /// Type and permissions.
    pub di_mode: U16,
    /// 3.
    pub di_version: u8,
    /// The form of the data: see [`di_format`].
    pub di_format: u8,
    pub di_onlink: U16,
    /// Owner.
    pub di_uid: U32,
    /// Group.
    pub di_gid: U32,
    /// Number of hard links.
    pub di_nlink: U32,
    pub di_projid_lo: U16,
    pub di_projid_hi: U16,
    /// Number of extents of data.
    pub di_big_nextents: U64,
    /// Times of the last access and change, and of the last change of the inode, in nanoseconds
    /// from [`Dinode::EPOCH`].
    pub di_atime: U64,
    pub di_mtime: U64,
    pub di_ctime: U64,
    /// Length in bytes.
    pub di_size: U64,
    /// Number of blocks: data, attributes, and the tree of extents.
    pub di_nblocks: U64,
    pub di_extsize: U32,
    /// Number of extents of attributes.
    pub di_big_anextents: U32,
    pub di_nrext64_pad: U16,
    /// Offset of the attributes from the end of the structure, in units of 8 bytes; 0 if there are
    /// none.
    pub di_forkoff: u8,
    /// The form of the attributes.
    pub di_aformat: u8,
    pub di_dmevmask: U32,
    pub di_dmstate: U16,
    /// See [`di_flags`].
    pub di_flags: U16,
    /// Generation number.
    pub di_gen: U32,
    /// `NULLAGINO`.
    pub di_next_unlinked: U32,
    /// CRC-32C of the inode.
    pub di_crc: little_endian::U32,
    /// Number of changes.
    pub di_changecount: U64,
    pub di_lsn: U64,
    /// See [`di_flags2`].
    pub di_flags2: U64,
    pub di_cowextsize: U32,
    pub di_pad2: [u8; 12],
    /// Time of creation.
    pub di_crtime: U64,
    /// Number of the inode.
    pub di_ino: U64,
    pub di_uuid: [u8; 16],
    /// Data and attributes in the inode.
    pub literal: [u8; Dinode::LITERAL],
}

impl Dinode {
    /// `XFS_DINODE_MAGIC`.
    pub const MAGIC: U16 = U16::new(0x494e);
    /// `XFS_LITINO`: bytes for data and attributes.
    pub const LITERAL: usize = 336;
    /// `XFS_BIGTIME_EPOCH_OFFSET`: times count from this many seconds before 1970.
    pub const EPOCH: i64 = 1 << 31;
    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(Dinode, di_crc);
}

const _: () = assert!(size_of::<Dinode>() == 512 && Dinode::CHECKSUM == 100);

/// The form of data and attributes: `XFS_DINODE_FMT_*`.
pub mod di_format {
    pub const DEVICE: u8 = 0;
    pub const LOCAL: u8 = 1;
    pub const EXTENTS: u8 = 2;
    pub const BTREE: u8 = 3;
}

/// Bits of `di_flags`: `XFS_DIFLAG_*`.
pub mod di_flags {
    /// Of the bitmap of the realtime section.
    pub const NEWRTBM: u16 = 1 << 2;
    pub const IMMUTABLE: u16 = 1 << 3;
    pub const APPEND: u16 = 1 << 4;
    pub const SYNC: u16 = 1 << 5;
    pub const NOATIME: u16 = 1 << 6;
    pub const NODUMP: u16 = 1 << 7;
}

/// Bits of `di_flags2`: `XFS_DIFLAG2_*`.
pub mod di_flags2 {
    /// Times are 64-bit numbers of nanoseconds.
    pub const BIGTIME: u64 = 1 << 3;
    /// Numbers of extents have 48 and 32 bits.
    pub const NREXT64: u64 = 1 << 4;
}

/// Types of inodes in `di_mode`: `S_IF*`.
pub mod i_mode {
    pub const FIFO: u16 = 0o010_000;
    pub const CHARACTER_DEVICE: u16 = 0o020_000;
    pub const DIRECTORY: u16 = 0o040_000;
    pub const BLOCK_DEVICE: u16 = 0o060_000;
    pub const FILE: u16 = 0o100_000;
    pub const SYMLINK: u16 = 0o120_000;
    pub const SOCKET: u16 = 0o140_000;
}
