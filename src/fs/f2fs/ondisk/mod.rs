//! On-disk structures, with the kernel's names of structures and fields (`include/linux/f2fs_fs.h`,
//! `fs/f2fs/xattr.h`). Fields that are never set have no comment.

use zerocopy::{Immutable, IntoBytes};

mod checkpoint;
mod dentry;
mod nat;
mod node;
mod sit;
mod summary;
mod superblock;
mod xattr;

pub use checkpoint::{Checkpoint, ckpt_flags};
pub use dentry::{DentryBlock, DirEntry, FILE_NAME_SLOT, InlineDentry, file_type};
pub use nat::{NAT_ENTRIES, NatBlock};
pub use node::{
    ADDRESSES, DirectNode, Extent, InodeNode, NodeFooter, POINTERS, XATTR_NODE_OFFSET, XattrNode,
    i_advise, i_inline,
};
pub use sit::{SIT_ENTRIES, SitBlock};
pub use summary::{Summary, SummaryBlock};
pub use superblock::SuperBlock;
pub use xattr::{XattrEntry, XattrHeader};

/// A block.
pub type Block = [u8; 4096];

/// Size of a block in bytes.
pub const BLOCK_SIZE: u64 = size_of::<Block>() as u64;

/// Writes `value` to `buffer` at the byte `at`.
pub fn put(buffer: &mut [u8], at: usize, value: &(impl IntoBytes + Immutable + ?Sized)) {
    buffer[at..at + size_of_val(value)].copy_from_slice(value.as_bytes());
}
