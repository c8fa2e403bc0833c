//! Extents, in files and in the extent tree.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct btrfs_file_extent_item` up to `type`; the data follows if it is inline.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FileExtentItem {
    /// The transaction that wrote the extent.
    pub generation: U64,
    /// Length of the data, decompressed.
    pub ram_bytes: U64,
    /// See [`compression`].
    pub compression: u8,
    pub encryption: u8,
    pub other_encoding: U16,
    /// [`FileExtentItem::INLINE`] or [`FileExtentItem::REGULAR`].
    pub kind: u8,
}

const _: () = assert!(size_of::<FileExtentItem>() == 21);

impl FileExtentItem {
    /// `BTRFS_FILE_EXTENT_INLINE`.
    pub const INLINE: u8 = 0;
    /// `BTRFS_FILE_EXTENT_REG`.
    pub const REGULAR: u8 = 1;
}

/// The rest of `struct btrfs_file_extent_item` for data that is not inline.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FileExtentRegular {
    /// Address of the extent.
    pub disk_bytenr: U64,
    /// Its length.
    pub disk_num_bytes: U64,
    /// Where the data begins in the decompressed extent.
    pub offset: U64,
    /// Number of bytes in the file.
    pub num_bytes: U64,
}

const _: () = assert!(size_of::<FileExtentRegular>() == 32);

/// How an extent is compressed: `BTRFS_COMPRESS_*`.
pub mod compression {
    pub const NONE: u8 = 0;
    pub const ZLIB: u8 = 1;
    pub const ZSTD: u8 = 3;
}

/// `struct btrfs_extent_item` of an extent of one file, with `struct btrfs_extent_inline_ref`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DataExtentItem {
    /// Number of references.
    pub refs: U64,
    /// The transaction that made the extent.
    pub generation: U64,
    /// [`DataExtentItem::DATA`].
    pub flags: U64,
    /// [`super::item_type::EXTENT_DATA_REF`].
    pub kind: u8,
    /// The subvolume.
    pub root: U64,
    /// The inode.
    pub objectid: U64,
    /// Where the extent would begin in the file if all of it were used.
    pub offset: U64,
    /// Number of references of this kind.
    pub count: U32,
}

const _: () = assert!(size_of::<DataExtentItem>() == 53);

impl DataExtentItem {
    /// `BTRFS_EXTENT_FLAG_DATA`.
    pub const DATA: u64 = 1;
}

/// `struct btrfs_extent_item` of a node of a tree, with `struct btrfs_extent_inline_ref`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TreeBlockItem {
    /// Number of references.
    pub refs: U64,
    /// The transaction that wrote the node.
    pub generation: U64,
    /// [`TreeBlockItem::TREE_BLOCK`].
    pub flags: U64,
    /// [`super::item_type::TREE_BLOCK_REF`].
    pub kind: u8,
    /// The tree.
    pub root: U64,
}

const _: () = assert!(size_of::<TreeBlockItem>() == 33);

impl TreeBlockItem {
    /// `BTRFS_EXTENT_FLAG_TREE_BLOCK`.
    pub const TREE_BLOCK: u64 = 2;
}

/// `struct btrfs_free_space_info`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FreeSpaceInfo {
    /// Number of free extents in the block group.
    pub extent_count: U32,
    pub flags: U32,
}
