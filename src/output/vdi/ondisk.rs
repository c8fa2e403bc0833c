//! The header of a VDI. VirtualBox publishes no specification; `block/vdi.c` of QEMU describes it.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The first 512 bytes of the file.
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Header {
    /// Text for people who look at the file, which readers ignore.
    pub text: [u8; 64],
    /// [`Header::SIGNATURE`].
    pub signature: U32,
    /// [`Header::VERSION`].
    pub version: U32,
    /// [`Header::SIZE`].
    pub header_size: U32,
    /// [`Header::DYNAMIC`].
    pub image_type: U32,
    /// 0.
    pub image_flags: U32,
    /// Zeros.
    pub description: [u8; 256],
    /// Where the block map begins in the file, in bytes.
    pub block_map_offset: U32,
    /// Where the first block begins in the file, in bytes.
    pub data_offset: U32,
    /// The geometry, which nothing uses: 0.
    pub cylinders: U32,
    /// See `cylinders`.
    pub heads: U32,
    /// See `cylinders`.
    pub sectors: U32,
    /// The length of a sector in bytes.
    pub sector_size: U32,
    /// 0.
    pub unused: U32,
    /// The length of the disk in bytes.
    pub disk_size: U64,
    /// The length of a block in bytes.
    pub block_size: U32,
    /// The length in bytes of what precedes each block: 0.
    pub block_extra: U32,
    /// The number of blocks of the disk.
    pub blocks_in_image: U32,
    /// The number of blocks in the file.
    pub blocks_allocated: U32,
    /// The UUID of the image.
    pub uuid_image: [u8; 16],
    /// The UUID of its last snapshot, which changes when the image is written.
    pub uuid_last_snapshot: [u8; 16],
    /// Zeros in a disk that does not depend on another one.
    pub uuid_link: [u8; 16],
    /// Zeros in a disk that does not depend on another one.
    pub uuid_parent: [u8; 16],
    /// Zeros.
    pub reserved: [u8; 56],
}

impl Header {
    /// What QEMU writes as `text`. Zeros follow it.
    pub const TEXT: &[u8] = b"<<< QEMU VM Virtual Disk Image >>>\n";
    /// Identifies the format.
    pub const SIGNATURE: u32 = 0xbeda_107f;
    /// Version 1.1.
    pub const VERSION: u32 = 0x0001_0001;
    /// The length in bytes of the fields from `header_size` to `uuid_parent`.
    pub const SIZE: u32 = 0x180;
    /// A disk whose blocks are allocated when they are written.
    pub const DYNAMIC: u32 = 1;
}
