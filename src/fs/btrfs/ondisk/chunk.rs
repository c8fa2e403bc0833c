//! Chunks of addresses, and where they are on the device.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct btrfs_dev_item`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DevItem {
    /// Number of the device.
    pub devid: U64,
    /// Length in bytes.
    pub total_bytes: U64,
    /// Bytes in chunks.
    pub bytes_used: U64,
    /// Optimal alignment.
    pub io_align: U32,
    /// Optimal width.
    pub io_width: U32,
    /// Bytes per sector.
    pub sector_size: U32,
    pub kind: U64,
    pub generation: U64,
    pub start_offset: U64,
    pub dev_group: U32,
    pub seek_speed: u8,
    pub bandwidth: u8,
    /// UUID of the device.
    pub uuid: [u8; 16],
    /// The file system's UUID.
    pub fsid: [u8; 16],
}

const _: () = assert!(size_of::<DevItem>() == 98);

/// `struct btrfs_chunk` without its stripes, which follow.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Chunk {
    /// Length in bytes of addresses.
    pub length: U64,
    /// The extent tree.
    pub owner: U64,
    /// Bytes per stripe.
    pub stripe_len: U64,
    /// See [`block_group`].
    pub kind: U64,
    /// Optimal alignment.
    pub io_align: U32,
    /// Optimal width.
    pub io_width: U32,
    /// Bytes per sector.
    pub sector_size: U32,
    /// Number of copies.
    pub num_stripes: U16,
    /// Always 1 without RAID10.
    pub sub_stripes: U16,
}

const _: () = assert!(size_of::<Chunk>() == 48);

impl Chunk {
    /// `BTRFS_STRIPE_LEN`.
    pub const STRIPE_LENGTH: u64 = 65_536;
}

/// `struct btrfs_stripe`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Stripe {
    /// Number of the device.
    pub devid: U64,
    /// Where the copy begins on the device.
    pub offset: U64,
    /// UUID of the device.
    pub dev_uuid: [u8; 16],
}

const _: () = assert!(size_of::<Stripe>() == 32);

/// `struct btrfs_dev_extent`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DevExtent {
    /// The chunk tree.
    pub chunk_tree: U64,
    /// The object of chunks.
    pub chunk_objectid: U64,
    /// Address of the chunk.
    pub chunk_offset: U64,
    /// Length in bytes.
    pub length: U64,
    /// UUID of the chunk tree.
    pub chunk_tree_uuid: [u8; 16],
}

const _: () = assert!(size_of::<DevExtent>() == 48);

/// `struct btrfs_block_group_item`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BlockGroupItem {
    /// Bytes in use.
    pub used: U64,
    /// The object of chunks.
    pub chunk_objectid: U64,
    /// See [`block_group`].
    pub flags: U64,
}

/// What is in a chunk, and in how many copies: `BTRFS_BLOCK_GROUP_*`.
pub mod block_group {
    pub const DATA: u64 = 1 << 0;
    pub const SYSTEM: u64 = 1 << 1;
    pub const METADATA: u64 = 1 << 2;
    /// Two copies on one device.
    pub const DUP: u64 = 1 << 5;
}
