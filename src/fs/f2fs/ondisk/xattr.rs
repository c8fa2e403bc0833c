//! Extended attributes.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct f2fs_xattr_header`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct XattrHeader {
    /// [`XattrHeader::MAGIC`].
    pub h_magic: U32,
    /// 1.
    pub h_refcount: U32,
    pub h_reserved: [U32; 4],
}

impl XattrHeader {
    /// `F2FS_XATTR_MAGIC`.
    pub const MAGIC: U32 = U32::new(0xf2f5_2011);
}

/// `struct f2fs_xattr_entry` without its name and value, which follow.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct XattrEntry {
    /// The number that represents the prefix of the name.
    pub e_name_index: u8,
    /// Length of the name in bytes.
    pub e_name_len: u8,
    /// Size of the value in bytes.
    pub e_value_size: U16,
}

const _: () = assert!(size_of::<XattrHeader>() == 24);
const _: () = assert!(size_of::<XattrEntry>() == 4);
