//! The structures in the file ("Virtual Disk Format 5.0", `SparseExtentHeader` and `Marker`).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{DESCRIPTOR, DESCRIPTOR_SECTORS, GRAIN_SECTORS, SECTOR, Size, TABLE_ENTRIES};

/// [`SparseExtentHeader::gd_offset`] of a file whose footer has the place of the grain directory.
pub const DIRECTORY_AT_END: u64 = u64::MAX;

/// Bits of [`SparseExtentHeader::flags`].
pub mod flag {
    /// [`super::SparseExtentHeader::line_ends`] is set.
    pub const LINE_ENDS: u32 = 1 << 0;
    /// There is a redundant grain directory, and redundant grain tables.
    pub const REDUNDANT: u32 = 1 << 1;
    /// Grains are compressed.
    pub const COMPRESSED: u32 = 1 << 16;
    /// Grains and tables have markers.
    pub const MARKERS: u32 = 1 << 17;
}

/// The first sector of a file. All offsets and lengths are in sectors.
#[derive(Clone, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct SparseExtentHeader {
    pub magic: [u8; 4],
    pub version: U32,
    /// See [`flag`].
    pub flags: U32,
    /// Length of the disk.
    pub capacity: U64,
    pub grain_size: U64,
    pub descriptor_offset: U64,
    pub descriptor_size: U64,
    /// Entries of a grain table.
    pub num_gtes_per_gt: U32,
    /// Offset of the redundant grain directory.
    pub rgd_offset: U64,
    /// Offset of the grain directory.
    pub gd_offset: U64,
    /// Everything before the first grain.
    pub over_head: U64,
    pub unclean_shutdown: u8,
    /// Characters that differ in a file that was copied as a text.
    pub line_ends: [u8; 4],
    /// 1 for deflate.
    pub compress_algorithm: U16,
    pub pad: [u8; 433],
}

const _: () = assert!(size_of::<SparseExtentHeader>() as u64 == SECTOR);

impl SparseExtentHeader {
    /// The header of a disk of `size` whose grains are not compressed, but for the places of the grain
    /// directories and grains.
    pub(super) fn new(size: Size) -> SparseExtentHeader {
        SparseExtentHeader {
            magic: *b"KDMV",
            version: U32::new(1),
            flags: U32::new(flag::LINE_ENDS),
            capacity: U64::new(size.sectors),
            grain_size: U64::new(GRAIN_SECTORS),
            descriptor_offset: U64::new(DESCRIPTOR),
            descriptor_size: U64::new(DESCRIPTOR_SECTORS),
            num_gtes_per_gt: U32::new(TABLE_ENTRIES),
            rgd_offset: U64::new(0),
            gd_offset: U64::new(0),
            over_head: U64::new(0),
            unclean_shutdown: 0,
            line_ends: *b"\n \r\n",
            compress_algorithm: U16::new(0),
            pad: [0; 433],
        }
    }
}

/// What precedes a compressed grain.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct GrainMarker {
    /// The first sector of the grain on the disk.
    pub lba: U64,
    /// Bytes of the compressed grain.
    pub size: U32,
}

/// The kind of a [`Marker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The end of the file.
    EndOfStream = 0,
    /// A grain table.
    GrainTable = 1,
    /// The grain directory.
    GrainDirectory = 2,
    /// The footer.
    Footer = 3,
}

/// A sector that says what is in the sectors after it.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub struct Marker {
    /// The number of these sectors.
    pub sectors: U64,
    /// 0: this is no grain.
    pub size: U32,
    /// A [`Kind`].
    pub kind: U32,
    pub pad: [u8; 496],
}

const _: () = assert!(size_of::<Marker>() as u64 == SECTOR);

impl Marker {
    /// The marker of `sectors` sectors.
    pub fn new(kind: Kind, sectors: u64) -> Marker {
        Marker {
            sectors: U64::new(sectors),
            size: U32::new(0),
            kind: U32::new(kind as u32),
            pad: [0; 496],
        }
    }
}
