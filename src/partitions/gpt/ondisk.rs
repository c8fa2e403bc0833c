//! The structures on the disk, byte for byte (UEFI Specification 2.10, tables 5.5 and 5.6).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// [`Header::SIGNATURE`].
    pub signature: [u8; 8],
    pub revision: U32,
    /// The length of the header in bytes, which is what its checksum covers.
    pub header_size: U32,
    /// The checksum of the header, with 0 in this field.
    pub header_crc32: U32,
    pub reserved: U32,
    /// The sector of this header.
    pub my_lba: U64,
    /// The sector of the other header.
    pub alternate_lba: U64,
    pub first_usable_lba: U64,
    pub last_usable_lba: U64,
    /// The disk's GUID.
    pub disk_guid: [u8; 16],
    /// The first sector of the entries.
    pub partition_entry_lba: U64,
    /// The number of entries.
    pub number_of_partition_entries: U32,
    /// The bytes of each entry.
    pub size_of_partition_entry: U32,
    /// The checksum of all entries.
    pub partition_entry_array_crc32: U32,
}

impl Header {
    /// The first bytes of every header.
    pub const SIGNATURE: [u8; 8] = *b"EFI PART";
}

/// The sector of the header. A header may be longer, but the specification does not define the
/// additional fields.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct HeaderSector {
    pub header: Header,
    pub rest: [u8; 420],
}

/// The fields of an entry, which may be longer.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Entry {
    /// The partition's type; all zeros if the entry is unused.
    pub partition_type_guid: [u8; 16],
    /// The partition's own GUID.
    pub unique_partition_guid: [u8; 16],
    /// First sector.
    pub starting_lba: U64,
    /// Last sector.
    pub ending_lba: U64,
    pub attributes: U64,
    /// UTF-16, padded with zeros.
    pub partition_name: [U16; 36],
}

const _: () = assert!(size_of::<Header>() == 92);
const _: () = assert!(size_of::<HeaderSector>() == 512);
const _: () = assert!(size_of::<Entry>() == 128);
