//! Directory entries.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `F2FS_SLOT_LEN`: bytes of a name in each slot.
pub const FILE_NAME_SLOT: usize = 8;

/// `struct f2fs_dir_entry`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub struct DirEntry {
    /// Hash of the name.
    pub hash_code: U32,
    /// Number of the inode.
    pub ino: U32,
    /// Length of the name in bytes.
    pub name_len: U16,
    /// See [`file_type`].
    pub file_type: u8,
}

/// Slots for entries: in a block, or in an inode. A name of more than eight bytes takes several
/// slots, of which only the first has an entry.
macro_rules! slots {
    ($name:ident, $slots:literal, $bitmap:literal, $reserved:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
        #[repr(C)]
        pub struct $name {
            /// The slots in use; the first one is the lowest bit of the first byte.
            pub dentry_bitmap: [u8; $bitmap],
            pub reserved: [u8; $reserved],
            pub dentry: [DirEntry; $slots],
            pub filename: [[u8; FILE_NAME_SLOT]; $slots],
        }

        impl $name {
            /// Number of slots.
            pub const SLOTS: usize = $slots;
        }
    };
}

slots!(DentryBlock, 214, 27, 3, "`struct f2fs_dentry_block`.");
slots!(
    InlineDentry,
    182,
    23,
    7,
    "The entries in an inode (`make_dentry_ptr_inline` in `fs/f2fs/f2fs.h`)."
);

const _: () = assert!(size_of::<DentryBlock>() == 4096);
const _: () = assert!(size_of::<InlineDentry>() == 3488);

/// Types of inodes in `file_type`: `FT_*` of `include/linux/fs_types.h`.
pub mod file_type {
    pub const FILE: u8 = 1;
    pub const DIRECTORY: u8 = 2;
    pub const CHARACTER_DEVICE: u8 = 3;
    pub const BLOCK_DEVICE: u8 = 4;
    pub const FIFO: u8 = 5;
    pub const SOCKET: u8 = 6;
    pub const SYMLINK: u8 = 7;
}
