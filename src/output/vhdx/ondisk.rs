//! The structures in the file. Names are those of the specification.

use uuid::{Uuid, uuid};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// GUIDs of regions (section 2.2.3.2).
pub const BAT_REGION: Uuid = uuid!("2DC27766-F623-4200-9D64-115E9BFD4A08");
pub const METADATA_REGION: Uuid = uuid!("8B7CA206-4790-4B9A-B8FE-575F050F886E");

/// GUIDs of metadata items (section 2.6.2).
pub const FILE_PARAMETERS: Uuid = uuid!("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
pub const VIRTUAL_DISK_SIZE: Uuid = uuid!("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
pub const VIRTUAL_DISK_ID: Uuid = uuid!("BECA12AB-B2E6-4523-93EF-C309E000C746");
pub const LOGICAL_SECTOR_SIZE: Uuid = uuid!("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
pub const PHYSICAL_SECTOR_SIZE: Uuid = uuid!("CDA348C7-445D-4471-9CC9-E9885251C556");

/// A GUID, whose first three fields are little-endian.
pub type Guid = [u8; 16];

/// Returns `uuid` as it is stored.
pub fn guid(uuid: Uuid) -> Guid {
    uuid.to_bytes_le()
}

/// The beginning of a file (section 2.2.1).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub struct FileIdentifier {
    pub signature: [u8; 8],
    /// The program that made the file, in UTF-16, padded with zeros.
    pub creator: [U16; 256],
}

impl FileIdentifier {
    /// The beginning of a file made by the program `creator`.
    pub fn new(creator: &str) -> FileIdentifier {
        let mut identifier = FileIdentifier {
            signature: *b"vhdxfile",
            creator: [U16::new(0); 256],
        };
        for (unit, value) in identifier.creator.iter_mut().zip(creator.encode_utf16()) {
            *unit = U16::new(value);
        }
        identifier
    }
}

/// A header (section 2.2.2).
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Header {
    pub signature: [u8; 4],
    /// CRC-32C of the header with 0 in this place.
    pub checksum: U32,
    pub sequence_number: U64,
    pub file_write_guid: Guid,
    pub data_write_guid: Guid,
    /// 0 if the log is empty.
    pub log_guid: Guid,
    pub log_version: U16,
    pub version: U16,
    /// In bytes.
    pub log_length: U32,
    /// In bytes.
    pub log_offset: U64,
    pub reserved: [u8; 4016],
}

const _: () = assert!(size_of::<Header>() == 4 << 10);

/// A region table (section 2.2.3): its header, and its entries.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub struct RegionTable {
    signature: [u8; 4],
    /// CRC-32C of the table with 0 in this place.
    pub checksum: U32,
    entry_count: U32,
    reserved: U32,
    entries: [RegionTableEntry; 2],
    unused: [u8; (64 << 10) - 16 - 2 * 32],
}

/// A region.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct RegionTableEntry {
    pub guid: Guid,
    /// In bytes.
    pub file_offset: U64,
    /// In bytes.
    pub length: U32,
    /// 1 if a program that does not know the region must not use the file.
    pub required: U32,
}

const _: () = assert!(size_of::<RegionTable>() == 64 << 10);

impl RegionTable {
    /// The table of `entries`, without its checksum.
    pub fn new(entries: [RegionTableEntry; 2]) -> RegionTable {
        RegionTable {
            signature: *b"regi",
            checksum: U32::new(0),
            entry_count: U32::new(2),
            reserved: U32::new(0),
            entries,
            unused: [0; (64 << 10) - 16 - 2 * 32],
        }
    }
}

/// Bits of [`MetadataTableEntry::flags`].
pub mod flag {
    /// The item describes the disk, not the file.
    pub const IS_VIRTUAL_DISK: u32 = 1 << 1;
    /// A program that does not know the item must not use the file.
    pub const IS_REQUIRED: u32 = 1 << 2;
}

/// The beginning of the metadata region (section 2.6.1): the header of the table, and its entries.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub struct MetadataTable {
    signature: [u8; 8],
    reserved: U16,
    entry_count: U16,
    reserved_2: [u8; 20],
    entries: [MetadataTableEntry; 5],
}

/// A metadata item.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct MetadataTableEntry {
    pub item_id: Guid,
    /// In bytes, from the start of the region.
    pub offset: U32,
    /// In bytes.
    pub length: U32,
    /// See [`flag`].
    pub flags: U32,
    pub reserved: U32,
}

impl MetadataTable {
    /// The table of `entries`.
    pub fn new(entries: [MetadataTableEntry; 5]) -> MetadataTable {
        MetadataTable {
            signature: *b"metadata",
            reserved: U16::new(0),
            entry_count: U16::new(5),
            reserved_2: [0; 20],
            entries,
        }
    }
}

/// The metadata items (section 2.6.2), one after the other.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub struct Items {
    /// Length of a payload block in bytes.
    pub block_size: U32,
    /// 0: the file is dynamic, and has no parent.
    pub flags: U32,
    /// In bytes.
    pub virtual_disk_size: U64,
    pub virtual_disk_id: Guid,
    /// In bytes.
    pub logical_sector_size: U32,
    /// In bytes.
    pub physical_sector_size: U32,
}
