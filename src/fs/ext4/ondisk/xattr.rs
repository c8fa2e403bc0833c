//! Extended attributes and access control lists (kernel,
//! Documentation/filesystems/ext4/attributes.rst, `fs/ext4/xattr.h` and `fs/ext4/acl.h`).

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `EXT4_XATTR_MAGIC`, the beginning of both headers.
const MAGIC: U32 = U32::new(0xea02_0000);

/// `struct ext4_xattr_header`: before the entries in a block.
#[derive(FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct XattrHeader {
    /// [`XattrHeader::MAGIC`].
    pub h_magic: U32,
    /// Number of inodes that share the block.
    pub h_refcount: U32,
    /// Number of blocks.
    pub h_blocks: U32,
    /// The hash of all entries.
    pub h_hash: U32,
    /// CRC-32C of the block's number and of the block with this field set to 0.
    pub h_checksum: U32,
    pub h_reserved: [U32; 3],
}

impl XattrHeader {
    /// `EXT4_XATTR_MAGIC`.
    pub const MAGIC: U32 = MAGIC;
}

/// `struct ext4_xattr_ibody_header`: before the entries in an inode.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct XattrIbodyHeader {
    /// [`XattrIbodyHeader::MAGIC`].
    pub h_magic: U32,
}

impl XattrIbodyHeader {
    /// `EXT4_XATTR_MAGIC`.
    pub const MAGIC: U32 = MAGIC;
}

/// `struct ext4_xattr_entry` without its name, which follows.
#[derive(FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct XattrEntry {
    /// Length of the name in bytes.
    pub e_name_len: u8,
    /// The number that represents the prefix of the name.
    pub e_name_index: u8,
    /// Offset of the value: in a block from its beginning, in an inode from the first entry.
    pub e_value_offs: U16,
    pub e_value_inum: U32,
    /// Size of the value in bytes.
    pub e_value_size: U32,
    /// The hash of the name and value.
    pub e_hash: U32,
}

/// `ext4_acl_entry`, and `struct posix_acl_xattr_entry` of `include/uapi/linux/posix_acl_xattr.h`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AclEntry {
    /// The tag, which defines whose permissions these are.
    pub e_tag: U16,
    /// Read, write, execute.
    pub e_perm: U16,
    /// The user or group ID.
    pub e_id: U32,
}

/// `ext4_acl_entry_short`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct AclEntryShort {
    pub e_tag: U16,
    pub e_perm: U16,
}

const _: () = assert!(size_of::<XattrHeader>() == 32);
const _: () = assert!(size_of::<XattrIbodyHeader>() == 4);
const _: () = assert!(size_of::<XattrEntry>() == 16);
const _: () = assert!(size_of::<AclEntry>() == 8);
const _: () = assert!(size_of::<AclEntryShort>() == 4);
