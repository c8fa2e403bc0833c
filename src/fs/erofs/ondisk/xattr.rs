//! Extended attributes.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct erofs_xattr_ibody_header`, after the inode. The numbers of shared attributes follow, then
/// the entries of the others. `i_xattr_icount` is 1 for the header and counts units of 4 bytes
/// after it.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct XattrIbodyHeader {
    pub h_name_filter: U32,
    /// Number of shared attributes.
    pub h_shared_count: u8,
    pub h_reserved2: [u8; 7],
}

/// `struct erofs_xattr_entry`, followed by name and value, and zeros up to a multiple of 4.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct XattrEntry {
    /// Length of the name without its prefix.
    pub e_name_len: u8,
    /// The number of the prefix.
    pub e_name_index: u8,
    /// Length of the value.
    pub e_value_size: U16,
}
