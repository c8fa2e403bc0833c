//! On-disk structures, with the kernel's names of structures and fields
//! (Documentation/filesystems/ext4, `fs/ext4/ext4.h` and related headers). Fields that are never
//! set have no comment.

use zerocopy::{Immutable, IntoBytes};

mod directory;
mod extent;
mod group_desc;
mod inode;
mod journal;
mod superblock;
mod xattr;

pub use directory::{DirEntry, DirEntryTail, DxCountLimit, DxEntry, DxNode, DxRoot, DxTail};
pub use extent::{EXTENTS_IN_BLOCK, EXTENTS_IN_INODE, Extent, ExtentHeader, ExtentIdx, ExtentTail};
pub use group_desc::{GroupDesc, bg_flags};
pub use inode::{IBlock, Inode, InodeRecord, i_flags, i_mode};
pub use journal::JournalSuperblock;
pub use superblock::{SuperBlock, feature_compat, feature_incompat, feature_ro_compat};
pub use xattr::{AclEntry, AclEntryShort, XattrEntry, XattrHeader, XattrIbodyHeader};

/// A block.
pub type Block = [u8; 4096];

/// Size of a block in bytes.
pub const BLOCK_SIZE: u64 = size_of::<Block>() as u64;

/// Writes `value` to `buffer` at the byte `at`.
pub fn put(buffer: &mut [u8], at: usize, value: &(impl IntoBytes + Immutable + ?Sized)) {
    buffer[at..at + size_of_val(value)].copy_from_slice(value.as_bytes());
}
