//! Directory blocks: entries and, in a hashed directory, the index (kernel,
//! Documentation/filesystems/ext4/directory.rst).

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, Unaligned};

use super::Block;

/// `struct ext4_dir_entry_2` without its name, which follows.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DirEntry {
    /// The inode; 0 if the entry is not in use.
    pub inode: U32,
    /// Distance to the next entry in bytes.
    pub rec_len: U16,
    /// Length of the name in bytes.
    pub name_len: u8,
    /// The type of the inode: `EXT4_FT_*`.
    pub file_type: u8,
}

impl DirEntry {
    /// `EXT4_FT_DIR`, and the other types.
    pub const FT_REG_FILE: u8 = 1;
    pub const FT_DIR: u8 = 2;
    pub const FT_CHRDEV: u8 = 3;
    pub const FT_BLKDEV: u8 = 4;
    pub const FT_FIFO: u8 = 5;
    pub const FT_SOCK: u8 = 6;
    pub const FT_SYMLINK: u8 = 7;
}

/// `struct ext4_dir_entry_tail`: the last bytes of a block of entries. To programs that do not
/// support checksums, they look like an unused entry.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DirEntryTail {
    pub det_reserved_zero1: U32,
    /// 12.
    pub det_rec_len: U16,
    pub det_reserved_zero2: u8,
    /// [`DirEntryTail::FT_DIR_CSUM`].
    pub det_reserved_ft: u8,
    /// CRC-32C of the directory's inode number and of the block up to here.
    pub det_checksum: U32,
}

impl DirEntryTail {
    /// `EXT4_FT_DIR_CSUM`.
    pub const FT_DIR_CSUM: u8 = 0xde;
}

/// `struct dx_root`: the first block of a hashed directory.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DxRoot {
    /// The entry `.`.
    pub dot: DirEntry,
    pub dot_name: [u8; 4],
    /// The entry `..`, which spans the rest of the block.
    pub dotdot: DirEntry,
    pub dotdot_name: [u8; 4],
    /// `struct dx_root_info`.
    pub reserved_zero: U32,
    /// The hash algorithm; 1 is half MD4.
    pub hash_version: u8,
    /// [`DxRoot::INFO_LENGTH`].
    pub info_length: u8,
    /// Number of levels between this block and the leaves.
    pub indirect_levels: u8,
    pub unused_flags: u8,
    /// The entries. [`DxCountLimit`] takes the place of the first hash.
    pub entries: [DxEntry; DxRoot::LIMIT],
    pub tail: DxTail,
}

impl DxRoot {
    /// Maximum number of entries.
    pub const LIMIT: usize = 507;
    /// Size of `struct dx_root_info`.
    pub const INFO_LENGTH: u8 = 8;
}

/// `struct dx_node`: another block of the index.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DxNode {
    /// An unused entry that spans the block.
    pub fake: DirEntry,
    /// The entries. [`DxCountLimit`] takes the place of the first hash.
    pub entries: [DxEntry; DxNode::LIMIT],
    pub tail: DxTail,
}

impl DxNode {
    /// Maximum number of entries.
    pub const LIMIT: usize = 510;
}

/// `struct dx_entry`: a block on the next level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DxEntry {
    /// The lowest hash in the block.
    pub hash: U32,
    /// The number of the block within the directory.
    pub block: U32,
}

/// `struct dx_countlimit`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DxCountLimit {
    /// Maximum number of entries.
    pub limit: U16,
    /// Number of entries.
    pub count: U16,
}

/// `struct dx_tail`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DxTail {
    pub dt_reserved: U32,
    /// CRC-32C of the directory's inode number, of the block up to the last entry in use, and of
    /// this structure with this field set to 0.
    pub dt_checksum: U32,
}

const _: () = assert!(size_of::<DirEntry>() == 8);
const _: () = assert!(size_of::<DirEntryTail>() == 12);
const _: () = assert!(size_of::<DxRoot>() == size_of::<Block>());
const _: () = assert!(size_of::<DxNode>() == size_of::<Block>());
const _: () = assert!(size_of::<DxEntry>() == 8);
const _: () = assert!(size_of::<DxCountLimit>() == 4);
const _: () = assert!(size_of::<DxTail>() == 8);
