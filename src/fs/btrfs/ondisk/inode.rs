//! Inodes.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::tree::Timestamp;

/// `struct btrfs_timespec`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TimeSpec {
    /// Seconds since 1970, signed.
    pub sec: U64,
    /// Nanoseconds.
    pub nsec: U32,
}

impl From<Timestamp> for TimeSpec {
    fn from(time: Timestamp) -> TimeSpec {
        TimeSpec {
            sec: U64::new(time.seconds.cast_unsigned()),
            nsec: U32::new(time.nanoseconds),
        }
    }
}

/// `struct btrfs_inode_item`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InodeItem {
    /// The transaction that made the inode.
    pub generation: U64,
    /// The transaction that changed it last.
    pub transid: U64,
    /// Length in bytes; of a directory, twice the length of all names.
    pub size: U64,
    /// Bytes of data, without holes.
    pub nbytes: U64,
    pub block_group: U64,
    /// Number of hard links; always 1 for a directory.
    pub nlink: U32,
    /// Owner.
    pub uid: U32,
    /// Group.
    pub gid: U32,
    /// File type and permissions.
    pub mode: U32,
    /// Device number: 12 bits of major above 20 of minor.
    pub rdev: U64,
    /// See [`inode_flags`].
    pub flags: U64,
    pub sequence: U64,
    pub reserved: [U64; 4],
    pub atime: TimeSpec,
    pub ctime: TimeSpec,
    pub mtime: TimeSpec,
    /// Time of creation.
    pub otime: TimeSpec,
}

const _: () = assert!(size_of::<InodeItem>() == 160);

/// Bits of `flags`: `BTRFS_INODE_*`.
pub mod inode_flags {
    /// The data has no checksums.
    pub const NODATASUM: u64 = 1 << 0;
    pub const SYNC: u64 = 1 << 5;
    pub const IMMUTABLE: u64 = 1 << 6;
    pub const APPEND: u64 = 1 << 7;
    pub const NODUMP: u64 = 1 << 8;
    pub const NOATIME: u64 = 1 << 9;
    pub const DIRSYNC: u64 = 1 << 10;
    /// In a root item: `flags` and `byte_limit` of the root are valid.
    pub const ROOT_ITEM_INIT: u64 = 1 << 31;
}
