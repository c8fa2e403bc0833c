//! Nodes: inodes, and the blocks with the addresses of data or the numbers of other nodes.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

use super::Block;

/// `DEF_ADDRS_PER_INODE`: words for addresses, inline contents and attributes in an inode.
pub const ADDRESSES: usize = 923;

/// `DEF_ADDRS_PER_BLOCK` and `NIDS_PER_BLOCK`: addresses in a direct node, and node numbers in an
/// indirect one.
pub const POINTERS: usize = 1018;

/// `XATTR_NODE_OFFSET`, in the footer of a node with extended attributes.
pub const XATTR_NODE_OFFSET: u32 = u32::MAX >> 3;

/// `struct f2fs_extent`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Extent {
    /// Its first block within the file.
    pub fofs: U32,
    /// The address of that block.
    pub blk_addr: U32,
    /// Number of blocks.
    pub len: U32,
}

/// `struct f2fs_inode`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Inode {
    /// Type and permissions.
    pub i_mode: U16,
    /// See [`i_advise`].
    pub i_advise: u8,
    /// See [`i_inline`].
    pub i_inline: u8,
    /// Owner.
    pub i_uid: U32,
    /// Group.
    pub i_gid: U32,
    /// Number of hard links.
    pub i_links: U32,
    /// Length in bytes.
    pub i_size: U64,
    /// Number of blocks, including this one.
    pub i_blocks: U64,
    /// Time of the last access, in seconds.
    pub i_atime: U64,
    /// Time of the last change of the inode.
    pub i_ctime: U64,
    /// Time of the last change of the contents.
    pub i_mtime: U64,
    /// Nanoseconds of the three times.
    pub i_atime_nsec: U32,
    pub i_ctime_nsec: U32,
    pub i_mtime_nsec: U32,
    pub i_generation: U32,
    /// Number of levels of a directory's hash table.
    pub i_current_depth: U32,
    /// Number of the node with more attributes.
    pub i_xattr_nid: U32,
    /// Flags.
    pub i_flags: U32,
    /// Number of the inode of a directory that contains it.
    pub i_pino: U32,
    /// Length of its name there.
    pub i_namelen: U32,
    /// Its name there.
    pub i_name: [u8; 255],
    pub i_dir_level: u8,
    /// The longest extent.
    pub i_ext: Extent,
    /// Addresses of data, or inline contents; and at the end inline attributes.
    pub i_addr: [U32; ADDRESSES],
    /// Numbers of nodes: two direct, two indirect, one with two levels.
    pub i_nid: [U32; 5],
}

const _: () = assert!(size_of::<Inode>() == 4072);

/// `struct node_footer`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct NodeFooter {
    /// The number of the node.
    pub nid: U32,
    /// The number of the inode that it belongs to.
    pub ino: U32,
    /// Bit 0: not of a directory. From bit 3 on: its position among the nodes of the inode.
    pub flag: U32,
    /// The checkpoint at which it was written.
    pub cp_ver: U64,
    /// The address of the next node.
    pub next_blkaddr: U32,
}

/// `struct f2fs_node` with an inode.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct InodeNode {
    pub i: Inode,
    pub footer: NodeFooter,
}

/// `struct f2fs_node` with addresses or node numbers.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct DirectNode {
    pub addr: [U32; POINTERS],
    pub footer: NodeFooter,
}

/// `struct f2fs_node` with extended attributes.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct XattrNode {
    pub xattrs: [u8; XattrNode::SPACE],
    pub footer: NodeFooter,
}

impl XattrNode {
    /// `VALID_XATTR_BLOCK_SIZE`: bytes for attributes.
    pub const SPACE: usize = size_of::<Block>() - size_of::<NodeFooter>();
}

const _: () = assert!(size_of::<InodeNode>() == 4096);
const _: () = assert!(size_of::<DirectNode>() == 4096);
const _: () = assert!(size_of::<XattrNode>() == 4096);

/// Bits of `i_advise`: `FADVISE_*_BIT`.
pub mod i_advise {
    /// The data is rarely written.
    pub const COLD: u8 = 0x01;
    /// `i_pino` may be wrong: there are several names.
    pub const LOST_PINO: u8 = 0x02;
    /// The data is often written.
    pub const HOT: u8 = 0x20;
}

/// Bits of `i_inline`: `F2FS_*`.
pub mod i_inline {
    /// There is space for attributes in the inode.
    pub const INLINE_XATTR: u8 = 0x01;
    /// The contents of the file are in the inode.
    pub const INLINE_DATA: u8 = 0x02;
    /// The entries of the directory are in the inode.
    pub const INLINE_DENTRY: u8 = 0x04;
    /// The contents in the inode are not empty.
    pub const DATA_EXIST: u8 = 0x08;
}
