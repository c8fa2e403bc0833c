//! The superblock.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::DevItem;

/// Space for the chunks of the chunk tree in the superblock.
pub const SYSTEM_CHUNK_ARRAY: usize = 2048;

/// `struct btrfs_super_block`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SuperBlock {
    /// CRC-32C of everything behind this field.
    pub csum: [u8; 32],
    /// The file system's UUID.
    pub fsid: [u8; 16],
    /// Where this copy is.
    pub bytenr: U64,
    /// 1, as in [`super::Header`].
    pub flags: U64,
    /// [`SuperBlock::MAGIC`].
    pub magic: [u8; 8],
    /// The last transaction.
    pub generation: U64,
    /// Address of the root tree.
    pub root: U64,
    /// Address of the chunk tree.
    pub chunk_root: U64,
    pub log_root: U64,
    pub log_root_transid: U64,
    /// Length of the file system.
    pub total_bytes: U64,
    /// Bytes of all extents and nodes.
    pub bytes_used: U64,
    /// The directory in the root tree.
    pub root_dir_objectid: U64,
    /// Number of devices.
    pub num_devices: U64,
    /// Bytes per sector.
    pub sectorsize: U32,
    /// Bytes per node.
    pub nodesize: U32,
    /// Bytes per node.
    pub leafsize: U32,
    /// Bytes per sector.
    pub stripesize: U32,
    /// Length of the used part of `sys_chunk_array`.
    pub sys_chunk_array_size: U32,
    /// The transaction that wrote the chunk tree.
    pub chunk_root_generation: U64,
    pub compat_flags: U64,
    /// See [`compat_ro`].
    pub compat_ro_flags: U64,
    /// See [`incompat`].
    pub incompat_flags: U64,
    /// The checksum algorithm; 0 is CRC-32C.
    pub csum_type: U16,
    /// Height of the root tree.
    pub root_level: u8,
    /// Height of the chunk tree.
    pub chunk_root_level: u8,
    pub log_root_level: u8,
    /// The device.
    pub dev_item: DevItem,
    /// The label, with a zero at its end.
    pub label: [u8; 256],
    pub cache_generation: U64,
    /// Equal to `generation` if the tree of UUIDs is complete.
    pub uuid_tree_generation: U64,
    pub metadata_uuid: [u8; 16],
    pub reserved: [U64; 28],
    /// The chunks with the chunk tree: keys, chunks and stripes.
    pub sys_chunk_array: [u8; SYSTEM_CHUNK_ARRAY],
    /// The roots of the last transactions.
    pub super_roots: [RootBackup; 4],
    pub padding: [u8; 565],
}

const _: () = assert!(size_of::<SuperBlock>() == 4096);

impl SuperBlock {
    /// Where the copies are on the device (`btrfs_sb_offset`).
    pub const OFFSETS: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];

    /// `BTRFS_MAGIC`.
    pub const MAGIC: [u8; 8] = *b"_BHRfS_M";
}

/// `struct btrfs_root_backup`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RootBackup {
    pub tree_root: U64,
    pub tree_root_gen: U64,
    pub chunk_root: U64,
    pub chunk_root_gen: U64,
    pub extent_root: U64,
    pub extent_root_gen: U64,
    pub fs_root: U64,
    pub fs_root_gen: U64,
    pub dev_root: U64,
    pub dev_root_gen: U64,
    pub csum_root: U64,
    pub csum_root_gen: U64,
    pub total_bytes: U64,
    pub bytes_used: U64,
    pub num_devices: U64,
    pub unused_64: [U64; 4],
    pub tree_root_level: u8,
    pub chunk_root_level: u8,
    pub extent_root_level: u8,
    pub fs_root_level: u8,
    pub dev_root_level: u8,
    pub csum_root_level: u8,
    pub unused_8: [u8; 10],
}

const _: () = assert!(size_of::<RootBackup>() == 168);

/// Bits of `compat_ro_flags`: `BTRFS_FEATURE_COMPAT_RO_*`.
pub mod compat_ro {
    pub const FREE_SPACE_TREE: u64 = 1 << 0;
    pub const FREE_SPACE_TREE_VALID: u64 = 1 << 1;
}

/// Bits of `incompat_flags`: `BTRFS_FEATURE_INCOMPAT_*`.
pub mod incompat {
    pub const MIXED_BACKREF: u64 = 1 << 0;
    pub const COMPRESS_ZSTD: u64 = 1 << 4;
    /// Nodes are larger than 4 KiB.
    pub const BIG_METADATA: u64 = 1 << 5;
    pub const EXTENDED_IREF: u64 = 1 << 6;
    pub const SKINNY_METADATA: u64 = 1 << 8;
    pub const NO_HOLES: u64 = 1 << 9;
}
