//! Keys of items.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A key; items are sorted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The object, such as an inode or an address.
    pub objectid: u64,
    /// The type of the item; see [`item_type`].
    pub kind: u8,
    /// A number whose meaning depends on the type.
    pub offset: u64,
}

impl Key {
    /// Makes a key of its three parts.
    pub const fn new(objectid: u64, kind: u8, offset: u64) -> Key {
        Key {
            objectid,
            kind,
            offset,
        }
    }
}

/// `struct btrfs_disk_key`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DiskKey {
    /// The object.
    pub objectid: U64,
    /// The type.
    pub kind: u8,
    /// The offset.
    pub offset: U64,
}

const _: () = assert!(size_of::<DiskKey>() == 17);

impl From<Key> for DiskKey {
    fn from(key: Key) -> DiskKey {
        DiskKey {
            objectid: U64::new(key.objectid),
            kind: key.kind,
            offset: U64::new(key.offset),
        }
    }
}

/// Types of items: `BTRFS_*_KEY`.
pub mod item_type {
    pub const INODE_ITEM: u8 = 1;
    pub const INODE_REF: u8 = 12;
    pub const INODE_EXTREF: u8 = 13;
    pub const XATTR_ITEM: u8 = 24;
    pub const DIR_ITEM: u8 = 84;
    pub const DIR_INDEX: u8 = 96;
    pub const EXTENT_DATA: u8 = 108;
    pub const EXTENT_CSUM: u8 = 128;
    pub const ROOT_ITEM: u8 = 132;
    pub const ROOT_BACKREF: u8 = 144;
    pub const ROOT_REF: u8 = 156;
    pub const EXTENT_ITEM: u8 = 168;
    pub const METADATA_ITEM: u8 = 169;
    /// Within an extent item.
    pub const TREE_BLOCK_REF: u8 = 176;
    /// Within an extent item.
    pub const EXTENT_DATA_REF: u8 = 178;
    pub const BLOCK_GROUP_ITEM: u8 = 192;
    pub const FREE_SPACE_INFO: u8 = 198;
    pub const FREE_SPACE_EXTENT: u8 = 199;
    pub const DEV_EXTENT: u8 = 204;
    pub const DEV_ITEM: u8 = 216;
    pub const CHUNK_ITEM: u8 = 228;
    pub const PERSISTENT_ITEM: u8 = 249;
    pub const UUID_SUBVOLUME: u8 = 251;
}

/// Numbers of trees and other objects: `BTRFS_*_OBJECTID`.
pub mod objects {
    pub const ROOT_TREE: u64 = 1;
    pub const EXTENT_TREE: u64 = 2;
    pub const CHUNK_TREE: u64 = 3;
    pub const DEV_TREE: u64 = 4;
    /// The subvolume that is mounted by default.
    pub const FS_TREE: u64 = 5;
    /// The directory in the root tree that names the default subvolume.
    pub const ROOT_TREE_DIR: u64 = 6;
    pub const CSUM_TREE: u64 = 7;
    pub const UUID_TREE: u64 = 9;
    pub const FREE_SPACE_TREE: u64 = 10;
    pub const DATA_RELOC_TREE: u64 = (-9_i64).cast_unsigned();
    /// The object of all checksums.
    pub const EXTENT_CSUM: u64 = (-10_i64).cast_unsigned();
    /// The object of all devices.
    pub const DEV_ITEMS: u64 = 1;
    /// The object of all chunks.
    pub const FIRST_CHUNK_TREE: u64 = 256;
    /// The object of statistics on devices.
    pub const DEV_STATS: u64 = 0;
    /// The first number of a subvolume, and of an inode in a subvolume: the root directory.
    pub const FIRST_FREE: u64 = 256;
}
