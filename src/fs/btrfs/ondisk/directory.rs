//! Names of inodes and subvolumes.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::DiskKey;

/// `struct btrfs_dir_item`: a name in a directory, or an extended attribute. The name follows, then
/// the value.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DirItem {
    /// The inode or root item; zeros for an attribute.
    pub location: DiskKey,
    /// The transaction that wrote it.
    pub transid: U64,
    /// Length of the value.
    pub data_len: U16,
    /// Length of the name.
    pub name_len: U16,
    /// See [`file_type`].
    pub kind: u8,
}

const _: () = assert!(size_of::<DirItem>() == 30);

/// `struct btrfs_inode_ref`: a name of an inode. The name follows.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InodeRef {
    /// The index of the entry in its directory.
    pub index: U64,
    /// Length of the name.
    pub name_len: U16,
}

const _: () = assert!(size_of::<InodeRef>() == 10);

/// `struct btrfs_inode_extref`: a name of an inode that has many of them. The name follows.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InodeExtref {
    /// The directory.
    pub parent_objectid: U64,
    /// The index of the entry in the directory.
    pub index: U64,
    /// Length of the name.
    pub name_len: U16,
}

const _: () = assert!(size_of::<InodeExtref>() == 18);

/// `struct btrfs_root_ref`: the name of a subvolume. The name follows.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RootRef {
    /// The directory, in the subvolume above.
    pub dirid: U64,
    /// The index of the entry in the directory.
    pub sequence: U64,
    /// Length of the name.
    pub name_len: U16,
}

const _: () = assert!(size_of::<RootRef>() == 18);

/// Types of files in directory entries: `BTRFS_FT_*`.
pub mod file_type {
    pub const FILE: u8 = 1;
    pub const DIRECTORY: u8 = 2;
    pub const CHARACTER_DEVICE: u8 = 3;
    pub const BLOCK_DEVICE: u8 = 4;
    pub const FIFO: u8 = 5;
    pub const SOCKET: u8 = 6;
    pub const SYMLINK: u8 = 7;
    /// An extended attribute.
    pub const XATTR: u8 = 8;
}
