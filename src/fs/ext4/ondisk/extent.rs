//! Nodes of extent trees: a header followed by extents or, on higher levels, index entries (kernel,
//! Documentation/filesystems/ext4/ifork.rst).

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, Unaligned};

use super::{Block, IBlock};

/// `struct ext4_extent_header`, the beginning of every node.
#[derive(FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct ExtentHeader {
    /// [`ExtentHeader::MAGIC`].
    pub eh_magic: U16,
    /// Number of entries after the header.
    pub eh_entries: U16,
    /// Maximum number of entries.
    pub eh_max: U16,
    /// Number of levels below this node. If 0, the entries are extents.
    pub eh_depth: U16,
    pub eh_generation: U32,
}

impl ExtentHeader {
    /// `EXT4_EXT_MAGIC`.
    pub const MAGIC: U16 = U16::new(0xf30a);
}

/// `struct ext4_extent`: a range of blocks.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Extent {
    /// Number of the first block within the file.
    pub ee_block: U32,
    /// Number of blocks.
    pub ee_len: U16,
    /// Bits 32 to 47 of `ee_start_lo`.
    pub ee_start_hi: U16,
    /// Number of the first block in the file system.
    pub ee_start_lo: U32,
}

impl Extent {
    /// `EXT_INIT_MAX_LEN`: maximum number of blocks in an initialised extent.
    pub const MAX_LEN: u16 = 32_768;
}

/// `struct ext4_extent_idx`: a node on the next level.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct ExtentIdx {
    /// The first block of the file that the node covers.
    pub ei_block: U32,
    /// The number of the node's block.
    pub ei_leaf_lo: U32,
    /// Bits 32 to 47 of `ei_leaf_lo`.
    pub ei_leaf_hi: U16,
    pub ei_unused: U16,
}

/// `struct ext4_extent_tail`: the last bytes of a node that is a block.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct ExtentTail {
    /// CRC-32C of the inode's number and of the node up to here.
    pub et_checksum: U32,
}

const _: () = assert!(size_of::<ExtentHeader>() == 12);
const _: () = assert!(size_of::<Extent>() == 12);
const _: () = assert!(size_of::<ExtentIdx>() == size_of::<Extent>());
const _: () = assert!(size_of::<ExtentTail>() == 4);

/// Maximum number of entries in the root.
pub const EXTENTS_IN_INODE: usize =
    (size_of::<IBlock>() - size_of::<ExtentHeader>()) / size_of::<Extent>();

/// Maximum number of entries in other nodes.
pub const EXTENTS_IN_BLOCK: usize =
    (size_of::<Block>() - size_of::<ExtentHeader>() - size_of::<ExtentTail>())
        / size_of::<Extent>();

const _: () = assert!(EXTENTS_IN_INODE == 4 && EXTENTS_IN_BLOCK == 340);
