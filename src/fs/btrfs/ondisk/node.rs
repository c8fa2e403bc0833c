//! Nodes of trees.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::DiskKey;

/// `struct btrfs_header`, the beginning of every node.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// CRC-32C of everything behind this field.
    pub csum: [u8; 32],
    /// The file system's UUID.
    pub fsid: [u8; 16],
    /// The node's own address.
    pub bytenr: U64,
    /// `BTRFS_HEADER_FLAG_WRITTEN`, and the revision of back references in the highest byte.
    pub flags: U64,
    /// UUID of the chunk tree.
    pub chunk_tree_uuid: [u8; 16],
    /// The transaction that wrote the node.
    pub generation: U64,
    /// The tree.
    pub owner: U64,
    /// Number of items or of pointers.
    pub nritems: U32,
    /// Height above the leaves.
    pub level: u8,
}

const _: () = assert!(size_of::<Header>() == 101);

impl Header {
    /// `BTRFS_HEADER_FLAG_WRITTEN`, and `BTRFS_MIXED_BACKREF_REV`.
    pub const FLAGS: u64 = 1 | 1 << 56;
}

/// `struct btrfs_item`, in a leaf behind the header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Item {
    /// Its key.
    pub key: DiskKey,
    /// Where its data begins, counted from the end of the header.
    pub offset: U32,
    /// Length of the data.
    pub size: U32,
}

const _: () = assert!(size_of::<Item>() == 25);

/// `struct btrfs_key_ptr`, in a node above the leaves.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct KeyPtr {
    /// The first key below the node.
    pub key: DiskKey,
    /// Address of the node.
    pub blockptr: U64,
    /// The transaction that wrote it.
    pub generation: U64,
}

const _: () = assert!(size_of::<KeyPtr>() == 33);
