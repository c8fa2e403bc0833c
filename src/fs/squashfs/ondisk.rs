//! The superblock (kernel, fs/squashfs/squashfs_fs.h, `struct squashfs_super_block`).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct squashfs_super_block`.
#[derive(FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct SuperBlock {
    /// [`SuperBlock::MAGIC`].
    pub s_magic: U32,
    /// Number of inodes.
    pub inodes: U32,
    /// Time of creation.
    pub mkfs_time: U32,
    /// Size of a block in bytes.
    pub block_size: U32,
    pub fragments: U32,
    /// The method of compression.
    pub compression: U16,
    pub block_log: U16,
    pub flags: U16,
    pub no_ids: U16,
    pub s_major: U16,
    pub s_minor: U16,
    pub root_inode: U64,
    /// Length of the file system in bytes, without padding.
    pub bytes_used: U64,
    pub id_table_start: U64,
    pub xattr_id_table_start: U64,
    pub inode_table_start: U64,
    pub directory_table_start: U64,
    pub fragment_table_start: U64,
    pub lookup_table_start: U64,
}

const _: () = assert!(size_of::<SuperBlock>() == 96);

impl SuperBlock {
    /// `SQUASHFS_MAGIC`.
    pub const MAGIC: U32 = U32::new(0x7371_7368);

    /// Returns a superblock to read into.
    pub fn empty() -> SuperBlock {
        SuperBlock::new_zeroed()
    }
}
