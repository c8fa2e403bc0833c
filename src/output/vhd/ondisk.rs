//! The structures of a VHD ("Virtual Hard Disk Image Format Specification", Microsoft, 2006). All
//! numbers are big-endian.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The hard disk footer (section "Hard Disk Footer Format").
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Footer {
    /// [`Footer::COOKIE`].
    pub cookie: [u8; 8],
    /// [`Footer::RESERVED_FEATURE`], which is always set.
    pub features: U32,
    /// [`VERSION`].
    pub file_format_version: U32,
    /// Where the [`DynamicHeader`] begins in the file, in bytes; [`NONE`] in a fixed disk.
    pub data_offset: U64,
    /// The time of creation, in seconds since [`Footer::EPOCH`].
    pub time_stamp: U32,
    /// The program that made the disk. Readers choose by it what the disk's length is: the geometry
    /// or `current_size`.
    pub creator_application: [u8; 4],
    /// The version of the program: major and minor, 16 bits each.
    pub creator_version: U32,
    /// The operating system on which the disk was made.
    pub creator_host_os: [u8; 4],
    /// The length of the disk in bytes when it was made.
    pub original_size: U64,
    /// The length of the disk in bytes.
    pub current_size: U64,
    /// The geometry. What it contains at most means that `current_size` is the length of the disk.
    pub cylinders: U16,
    /// See `cylinders`.
    pub heads: u8,
    /// See `cylinders`.
    pub sectors_per_track: u8,
    /// [`Footer::FIXED`] or [`Footer::DYNAMIC`].
    pub disk_type: U32,
    /// The one's complement of the sum of all other bytes.
    pub checksum: U32,
    /// The UUID of the disk.
    pub unique_id: [u8; 16],
    /// Whether the disk belongs to a suspended machine.
    pub saved_state: u8,
    /// Zeros.
    pub reserved: [u8; 427],
}

impl Footer {
    /// The first bytes.
    pub const COOKIE: [u8; 8] = *b"conectix";
    /// The bit of `features` that the specification calls reserved.
    pub const RESERVED_FEATURE: u32 = 2;
    /// 2000-01-01 UTC, in seconds since 1970.
    pub const EPOCH: i64 = 946_684_800;
    /// A disk without a table of blocks.
    pub const FIXED: u32 = 2;
    /// A disk with a table of blocks.
    pub const DYNAMIC: u32 = 3;
}

/// The dynamic disk header (section "Dynamic Disk Header Format").
#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct DynamicHeader {
    /// [`DynamicHeader::COOKIE`].
    pub cookie: [u8; 8],
    /// [`NONE`].
    pub data_offset: U64,
    /// Where the block allocation table begins in the file, in bytes.
    pub table_offset: U64,
    /// [`VERSION`].
    pub header_version: U32,
    /// The number of blocks of the disk.
    pub max_table_entries: U32,
    /// The length of a block in bytes, without its sector bitmap.
    pub block_size: U32,
    /// The one's complement of the sum of all other bytes.
    pub checksum: U32,
    /// Zeros in a disk that does not depend on another one: the fields about its parent.
    pub parent: [u8; 728],
    /// Zeros.
    pub reserved: [u8; 256],
}

impl DynamicHeader {
    /// The first bytes.
    pub const COOKIE: [u8; 8] = *b"cxsparse";
}

/// Version 1.0 of the format, of the footer and of the dynamic disk header.
pub const VERSION: u32 = 0x0001_0000;

/// The offset of a structure that does not exist. (The specification has only 32 bits of it for the
/// dynamic disk header, but Microsoft's programs expect 64.)
pub const NONE: u64 = u64::MAX;

/// The checksum of a structure whose checksum field is 0.
pub fn checksum(structure: &[u8]) -> U32 {
    let sum = structure
        .iter()
        .fold(0_u32, |sum, &byte| sum.wrapping_add(byte.into()));
    U32::new(!sum)
}
