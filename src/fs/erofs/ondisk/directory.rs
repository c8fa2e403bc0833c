//! Blocks of directories: entries, then their names.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct erofs_dirent`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Dirent {
    /// The number of the inode.
    pub nid: U64,
    /// Where the name begins in the block.
    pub nameoff: U16,
    /// A number of [`file_type`].
    pub file_type: u8,
    pub reserved: u8,
}

/// Types in directory entries.
pub mod file_type {
    pub const REG_FILE: u8 = 1;
    pub const DIR: u8 = 2;
    pub const CHRDEV: u8 = 3;
    pub const BLKDEV: u8 = 4;
    pub const FIFO: u8 = 5;
    pub const SOCK: u8 = 6;
    pub const SYMLINK: u8 = 7;
}
