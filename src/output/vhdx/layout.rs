//! [`Layout`]: where everything is in the file, and what precedes the payload blocks.

use anyhow::Result;
use uuid::Uuid;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::ondisk::{
    self, FileIdentifier, Header, Items, MetadataTable, MetadataTableEntry, RegionTable,
    RegionTableEntry, flag, guid,
};
use super::{GIB, TIB};
use crate::layout::{MEBIBYTE, SECTOR};
use crate::output::file::ImageFile;
use crate::output::identifiers::derived;
use crate::spec::Identity;

/// The offsets of the two headers (section 2.2), in bytes.
const HEADERS: [u64; 2] = [64 << 10, 128 << 10];

/// The offsets of the two region tables (section 2.2), in bytes.
const REGION_TABLES: [u64; 2] = [192 << 10, 256 << 10];

/// The offset of the log, in bytes.
const LOG: u64 = MEBIBYTE;

/// The length of the log, in bytes. It is empty.
const LOG_LENGTH: u32 = 1 << 20;

/// The offset of the BAT, in bytes.
pub const BAT: u64 = 2 * MEBIBYTE;

/// The length of the metadata region, in bytes.
const METADATA_LENGTH: u32 = 1 << 20;

/// The offset of the metadata items in their region, in bytes (section 2.6.1).
const ITEMS: u32 = 64 << 10;

/// From the end of the BAT to the first payload block, as in `qemu-img`, in bytes: the metadata region,
/// and free space.
const METADATA_AND_FREE: u64 = 5 * MEBIBYTE;

/// Sectors whose state one sector bitmap block has (section 2.5).
const SECTORS_PER_BITMAP: u64 = 1 << 23;

/// State of a payload block that is not in the file and has only zeros (section 2.5.1.1). Unlike it,
/// blocks that are "not present" have undefined contents.
const ZERO: u64 = 2;

/// Where everything is.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Length of the disk in bytes.
    pub length: u64,
    /// Length of a payload block in bytes.
    pub block: u64,
    /// The number of payload blocks of the disk.
    pub payload_blocks: u64,
    /// Offset of the first payload block, in bytes.
    pub payload: u64,
    /// The number of payload blocks that share a sector bitmap block.
    chunk_ratio: u64,
    /// Length of the BAT in bytes.
    bat_length: u64,
}

impl Layout {
    /// The layout for a disk of `length` bytes, at most [`super::LONGEST`].
    pub fn new(length: u64) -> Layout {
        let block = payload_block(length);
        let payload_blocks = length.div_ceil(block);
        let mut layout = Layout {
            length,
            block,
            payload_blocks,
            payload: 0,
            chunk_ratio: SECTORS_PER_BITMAP * SECTOR / block,
            bat_length: 0,
        };
        layout.bat_length = (layout.bat_entries() * 8).next_multiple_of(MEBIBYTE);
        layout.payload = layout.metadata() + METADATA_AND_FREE;
        layout
    }

    /// The entry of a payload block in the BAT. There is an entry for a sector bitmap block after every
    /// [`Layout::chunk_ratio`] of them, although only differencing disks have such blocks.
    pub fn bat_index(&self, number: u64) -> u64 {
        number + number / self.chunk_ratio
    }

    /// The BAT of a disk of zeros.
    ///
    /// # Errors
    /// If it does not fit into memory.
    pub fn bat_of_zeros(&self) -> Result<Vec<U64>> {
        let mut bat = vec![U64::new(0); usize::try_from(self.bat_entries())?];
        for number in 0..self.payload_blocks {
            bat[usize::try_from(self.bat_index(number))?] = U64::new(ZERO);
        }
        Ok(bat)
    }

    fn bat_entries(&self) -> u64 {
        match self.payload_blocks.checked_sub(1) {
            Some(last) => self.bat_index(last) + 1,
            None => 0,
        }
    }

    /// The offset of the metadata region in bytes.
    fn metadata(&self) -> u64 {
        BAT + self.bat_length
    }

    /// Writes everything that precedes the payload blocks, except the BAT.
    ///
    /// # Errors
    /// If this fails.
    pub fn write(&self, file: &mut ImageFile<'_>, identity: &Identity) -> Result<()> {
        file.write(FileIdentifier::new("make-disk-image").as_bytes(), 0)?;
        for (sequence, offset) in (1..).zip(HEADERS) {
            file.write(header(sequence, identity).as_bytes(), offset)?;
        }
        let regions = self.region_table()?;
        for offset in REGION_TABLES {
            file.write(regions.as_bytes(), offset)?;
        }
        let metadata = self.metadata();
        file.write(metadata_table().as_bytes(), metadata)?;
        let items = self.items(identity)?;
        file.write(items.as_bytes(), metadata + u64::from(ITEMS))
    }

    /// The region table (section 2.2.3).
    fn region_table(&self) -> Result<RegionTable> {
        let entry = |id, offset, length| RegionTableEntry {
            guid: guid(id),
            file_offset: U64::new(offset),
            length: U32::new(length),
            required: U32::new(1),
        };
        let mut table = RegionTable::new([
            entry(ondisk::BAT_REGION, BAT, u32::try_from(self.bat_length)?),
            entry(ondisk::METADATA_REGION, self.metadata(), METADATA_LENGTH),
        ]);
        table.checksum = U32::new(crc32c::crc32c(table.as_bytes()));
        Ok(table)
    }

    /// The metadata items (section 2.6.2).
    fn items(&self, identity: &Identity) -> Result<Items> {
        let sector = U32::new(u32::try_from(SECTOR)?);
        Ok(Items {
            block_size: U32::new(u32::try_from(self.block)?),
            flags: U32::new(0),
            virtual_disk_size: U64::new(self.length),
            virtual_disk_id: guid(derived(identity, b"VHDX disk")),
            logical_sector_size: sector,
            physical_sector_size: sector,
        })
    }
}

/// The length of a payload block of a disk of `length` bytes, as in `qemu-img`, in bytes.
fn payload_block(length: u64) -> u64 {
    if length > 32 * TIB {
        64 * MEBIBYTE
    } else if length > 100 * GIB {
        32 * MEBIBYTE
    } else if length > GIB {
        16 * MEBIBYTE
    } else {
        8 * MEBIBYTE
    }
}

/// One of the headers (section 2.2.2): the one with the larger sequence number is used.
fn header(sequence: u64, identity: &Identity) -> Header {
    let mut header = Header {
        signature: *b"head",
        checksum: U32::new(0),
        sequence_number: U64::new(sequence),
        file_write_guid: guid(derived(identity, b"VHDX file write")),
        data_write_guid: guid(derived(identity, b"VHDX data write")),
        // The log is empty.
        log_guid: guid(Uuid::nil()),
        log_version: U16::new(0),
        version: U16::new(1),
        log_length: U32::new(LOG_LENGTH),
        log_offset: U64::new(LOG),
        reserved: [0; 4016],
    };
    header.checksum = U32::new(crc32c::crc32c(header.as_bytes()));
    header
}

/// The metadata table (section 2.6.1).
fn metadata_table() -> MetadataTable {
    let mut offset = ITEMS;
    let mut entry = |id, length, flags| {
        let entry = MetadataTableEntry {
            item_id: guid(id),
            offset: U32::new(offset),
            length: U32::new(length),
            flags: U32::new(flags),
            reserved: U32::new(0),
        };
        offset += length;
        entry
    };
    let of_disk = flag::IS_VIRTUAL_DISK | flag::IS_REQUIRED;
    MetadataTable::new([
        entry(ondisk::FILE_PARAMETERS, 8, flag::IS_REQUIRED),
        entry(ondisk::VIRTUAL_DISK_SIZE, 8, of_disk),
        entry(ondisk::VIRTUAL_DISK_ID, 16, of_disk),
        entry(ondisk::LOGICAL_SECTOR_SIZE, 4, of_disk),
        entry(ondisk::PHYSICAL_SECTOR_SIZE, 4, of_disk),
    ])
}
