//! Inodes (kernel, Documentation/filesystems/ext4/inodes.rst).

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, Unaligned};

/// `i_block`: an extent tree, a block map, a short link target, or a device number.
pub type IBlock = [U32; 15];

/// `struct ext4_inode`.
#[derive(FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Inode {
    /// Type (see [`i_mode`]) and permissions.
    pub i_mode: U16,
    /// Owner.
    pub i_uid: U16,
    /// Length in bytes.
    pub i_size_lo: U32,
    /// Time of the last access.
    pub i_atime: U32,
    /// Time of the last change of the inode.
    pub i_ctime: U32,
    /// Time of the last change of the contents.
    pub i_mtime: U32,
    pub i_dtime: U32,
    /// Group.
    pub i_gid: U16,
    /// Number of hard links.
    pub i_links_count: U16,
    /// Size of its blocks, including those with metadata, in units of 512 bytes.
    pub i_blocks_lo: U32,
    /// See [`i_flags`].
    pub i_flags: U32,
    pub l_i_version: U32,
    pub i_block: IBlock,
    pub i_generation: U32,
    /// Block of extended attributes.
    pub i_file_acl_lo: U32,
    /// The high half of `i_size_lo`.
    pub i_size_high: U32,
    pub i_obso_faddr: U32,
    /// Bits 32 to 47 of `i_blocks_lo`.
    pub l_i_blocks_high: U16,
    /// Bits 32 to 47 of `i_file_acl_lo`.
    pub l_i_file_acl_high: U16,
    /// The high half of `i_uid`.
    pub l_i_uid_high: U16,
    /// The high half of `i_gid`.
    pub l_i_gid_high: U16,
    /// The low half of the checksum.
    pub l_i_checksum_lo: U16,
    pub l_i_reserved: U16,
    /// Size of the fields from here on.
    pub i_extra_isize: U16,
    /// The high half of the checksum.
    pub i_checksum_hi: U16,
    /// Nanoseconds, and below them two more bits of `i_ctime`. Likewise for the other fields
    /// `_extra`.
    pub i_ctime_extra: U32,
    pub i_mtime_extra: U32,
    pub i_atime_extra: U32,
    /// Time of creation.
    pub i_crtime: U32,
    pub i_crtime_extra: U32,
    pub i_version_hi: U32,
    pub i_projid: U32,
}

const _: () = assert!(size_of::<Inode>() == 160);

impl Inode {
    /// `EXT4_GOOD_OLD_INODE_SIZE`: size of the fields before `i_extra_isize`.
    const GOOD_OLD_SIZE: usize = 128;

    /// Size of the fields from `i_extra_isize` on.
    pub const EXTRA_ISIZE: u16 = 32;
}

const _: () = assert!(Inode::GOOD_OLD_SIZE + Inode::EXTRA_ISIZE as usize == size_of::<Inode>());

/// An entry of the inode table.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct InodeRecord {
    pub inode: Inode,
    /// As many extended attributes as fit.
    pub ibody: [u8; 96],
}

const _: () = assert!(size_of::<InodeRecord>() == 256);

impl InodeRecord {
    /// Size of the space for extended attributes.
    pub const IBODY_SIZE: usize = size_of::<InodeRecord>() - size_of::<Inode>();
}

/// Bits of `i_flags`: `EXT4_*_FL`.
pub mod i_flags {
    /// The directory is hashed.
    pub const INDEX: u32 = 0x1000;
    /// `i_block` is an extent tree.
    pub const EXTENTS: u32 = 0x8_0000;
}

/// Types of inodes in `i_mode`: `S_IF*`.
pub mod i_mode {
    pub const FIFO: u16 = 0o010_000;
    pub const CHARACTER_DEVICE: u16 = 0o020_000;
    pub const DIRECTORY: u16 = 0o040_000;
    pub const BLOCK_DEVICE: u16 = 0o060_000;
    pub const FILE: u16 = 0o100_000;
    pub const SYMLINK: u16 = 0o120_000;
    pub const SOCKET: u16 = 0o140_000;
}
