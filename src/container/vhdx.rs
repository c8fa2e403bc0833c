//! Reads VHDX ("\[MS-VHDX\]: Virtual Hard Disk v2 (VHDX) File Format", from which all section numbers
//! are).

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use uuid::Uuid;

use super::claims::{Claims, MOST_ENTRIES};
use super::file::ImageFile;
use super::{Extent, Facts, Map, Opened, rest_of_block};
use crate::output::vhdx::ondisk::{
    BAT_REGION, FILE_PARAMETERS, Header, LOGICAL_SECTOR_SIZE, METADATA_REGION, MetadataTableEntry,
    PHYSICAL_SECTOR_SIZE, RegionTableEntry, VIRTUAL_DISK_ID, VIRTUAL_DISK_SIZE, flag,
};

/// The offsets of the two headers and of the two region tables (section 2.2), in bytes.
const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const REGION_TABLES: [u64; 2] = [192 << 10, 256 << 10];

/// The length of a header and of a region table, in bytes.
const HEADER_LENGTH: usize = 4 << 10;
const REGION_TABLE_LENGTH: usize = 64 << 10;

/// The most entries of a region table and of a metadata table (sections 2.2.3.1 and 2.6.1.1).
const MOST_ENTRIES_OF_TABLE: u32 = 2047;

/// The longest disk, in bytes (section 2.6.2.2).
const LONGEST: u64 = 64 << 40;

/// Sectors whose state one sector bitmap block has (section 2.5).
const SECTORS_PER_BITMAP: u64 = 1 << 23;

/// The bits of a BAT entry that are an offset, a multiple of a mebibyte (section 2.5.1).
const OFFSET: u64 = !0xf_ffff;

/// A virtual disk's structure with a parent (section 2.6.2.1).
const HAS_PARENT: u32 = 2;

/// What messages call an entry of the BAT.
const ENTRY: &str = "an entry of the block allocation table";

/// Where payload blocks are.
struct Blocks {
    bat: u64,
    block: u64,
    /// The number of payload blocks after which the BAT has an entry for a sector bitmap block.
    chunk_ratio: u64,
    count: u64,
}

/// Opens `file`.
///
/// # Errors
/// See [`super::detect::Kind::open`].
pub fn open(file: &ImageFile) -> Result<Opened> {
    let header = header(file)?;
    ensure!(
        header.log_guid == [0; 16],
        "its log has changes that are not applied yet, because it was not closed; open and close it \
         with qemu-img check -r all"
    );
    let regions = regions(file)?;
    let region = |id: Uuid, what: &str| -> Result<(u64, u64)> {
        let found = regions.get(&id).copied();
        found.with_context(|| format!("the region table has no {what}"))
    };
    let (bat, bat_length) = region(BAT_REGION, "block allocation table")?;
    let (metadata, metadata_length) = region(METADATA_REGION, "metadata")?;
    file.check(bat, bat_length, "the block allocation table")?;
    file.check(metadata, metadata_length, "the metadata")?;
    let items = Items::read(file, metadata)?;
    let block = u64::from(items.u32(FILE_PARAMETERS, 0, "file parameters")?);
    let flags = items.u32(FILE_PARAMETERS, 4, "file parameters")?;
    ensure!(
        flags & HAS_PARENT == 0,
        "it is a differencing disk, which is incomplete without its parent"
    );
    ensure!(
        (1 << 20..=256 << 20).contains(&block) && block.is_power_of_two(),
        "the metadata declares blocks of {block} bytes"
    );
    let sector = u64::from(items.u32(LOGICAL_SECTOR_SIZE, 0, "logical sector size")?);
    ensure!(
        sector == 512 || sector == 4096,
        "the metadata declares sectors of {sector} bytes"
    );
    let length = u64::from_le_bytes(items.bytes(VIRTUAL_DISK_SIZE, 0, "virtual disk size")?);
    ensure!(
        length <= LONGEST && length % sector == 0,
        "the metadata declares a disk of {length} bytes"
    );
    let blocks = Blocks {
        bat,
        block,
        chunk_ratio: SECTORS_PER_BITMAP.saturating_mul(sector) / block,
        count: length.div_ceil(block),
    };
    let needed = blocks.index(blocks.count).saturating_mul(8);
    ensure!(
        needed <= bat_length,
        "the block allocation table has {bat_length} bytes, but {needed} are needed for a disk of \
         {length} bytes"
    );
    blocks.check(file)?;
    let mut facts = Facts::default();
    facts.add("format", "vhdx");
    facts.add("variant", if flags & 1 == 0 { "dynamic" } else { "fixed" });
    facts.add("block_size", block);
    facts.add("logical_sector_size", sector);
    let physical = items.u32(PHYSICAL_SECTOR_SIZE, 0, "physical sector size")?;
    facts.add("physical_sector_size", physical);
    let id = items.bytes(VIRTUAL_DISK_ID, 0, "virtual disk ID")?;
    facts.add("uuid", Uuid::from_bytes_le(id).to_string());
    let data = Uuid::from_bytes_le(header.data_write_guid);
    facts.add("data_write_guid", data.to_string());
    Ok(Opened {
        map: Box::new(blocks),
        length,
        sector: Some(sector),
        facts,
    })
}

/// Reads both headers, and returns the current one (section 2.2.2).
fn header(file: &ImageFile) -> Result<Header> {
    let read = |at| -> Result<Header> {
        let mut header: Header = file.structure(at, "a header")?;
        ensure!(
            header.signature == *b"head",
            "there is no header at byte {at}"
        );
        let sum = std::mem::replace(&mut header.checksum, 0.into());
        let expected = crc32c::crc32c(zerocopy::IntoBytes::as_bytes(&header));
        ensure!(
            sum.get() == expected,
            "the checksum of the header at byte {at} does not match"
        );
        let version = header.version.get();
        ensure!(
            version == 1,
            "version {version} of the format is not supported, only 1"
        );
        Ok(header)
    };
    match HEADERS.map(read) {
        [Ok(a), Ok(b)] => Ok(match a.sequence_number.get() > b.sequence_number.get() {
            true => a,
            false => b,
        }),
        [Ok(header), Err(_)] | [Err(_), Ok(header)] => Ok(header),
        [Err(error), Err(_)] => Err(error),
    }
}

const _: () = assert!(size_of::<Header>() == HEADER_LENGTH);

/// Reads the region table or, if it is damaged, its copy. Returns offset and length of each region.
fn regions(file: &ImageFile) -> Result<BTreeMap<Uuid, (u64, u64)>> {
    let read = |at| -> Result<BTreeMap<Uuid, (u64, u64)>> {
        let mut table = vec![0; REGION_TABLE_LENGTH];
        file.read(at, &mut table, "a region table")?;
        ensure!(
            table.starts_with(b"regi"),
            "there is no region table at byte {at}"
        );
        let sum = number(&table, 4)?;
        table[4..8].fill(0);
        ensure!(
            sum == crc32c::crc32c(&table),
            "the checksum of the region table at byte {at} does not match"
        );
        let mut regions = BTreeMap::new();
        for entry in entries::<RegionTableEntry>(&table, number(&table, 8)?, 16)? {
            let id = Uuid::from_bytes_le(entry.guid);
            ensure!(
                entry.required.get() & 1 == 0 || [BAT_REGION, METADATA_REGION].contains(&id),
                "it needs the region {id}, which is not known"
            );
            regions.insert(id, (entry.file_offset.get(), entry.length.get().into()));
        }
        Ok(regions)
    };
    let [first, second] = REGION_TABLES;
    read(first).or_else(|error| read(second).map_err(|_| error))
}

/// The entries of a table, after its header of `start` bytes.
fn entries<T: zerocopy::FromBytes>(table: &[u8], count: u32, start: usize) -> Result<Vec<T>> {
    ensure!(
        count <= MOST_ENTRIES_OF_TABLE,
        "a table declares {count} entries, but only {MOST_ENTRIES_OF_TABLE} are allowed"
    );
    let entries = table.get(start..).unwrap_or_default();
    let entries = entries.chunks_exact(size_of::<T>());
    let read = |bytes| {
        T::read_from_bytes(bytes)
            .ok()
            .context("a table is too short")
    };
    entries.take(usize::try_from(count)?).map(read).collect()
}

/// The number at `at`.
fn number(bytes: &[u8], at: usize) -> Result<u32> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_le_bytes(*found.context("a table is too short")?))
}

/// The metadata items (section 2.6).
struct Items<'a> {
    file: &'a ImageFile,
    metadata: u64,
    items: BTreeMap<Uuid, (u64, u64)>,
}

impl Items<'_> {
    /// Reads the table of the metadata region at `metadata`.
    fn read(file: &ImageFile, metadata: u64) -> Result<Items<'_>> {
        let mut table = vec![0; REGION_TABLE_LENGTH];
        file.read(metadata, &mut table, "the metadata table")?;
        ensure!(table.starts_with(b"metadata"), "there is no metadata table");
        let count = number(&table, 8)? >> 16;
        let mut items = BTreeMap::new();
        for entry in entries::<MetadataTableEntry>(&table, count, 32)? {
            let id = Uuid::from_bytes_le(entry.item_id);
            let known = [
                FILE_PARAMETERS,
                VIRTUAL_DISK_SIZE,
                VIRTUAL_DISK_ID,
                LOGICAL_SECTOR_SIZE,
                PHYSICAL_SECTOR_SIZE,
            ];
            let is_known = known.contains(&id);
            if !is_known && entry.flags.get() & flag::IS_REQUIRED != 0 {
                bail!("it needs the metadata item {id}, which is not known");
            }
            items.insert(id, (entry.offset.get().into(), entry.length.get().into()));
        }
        Ok(Items {
            file,
            metadata,
            items,
        })
    }

    /// The bytes of an item from `at` on.
    fn bytes<const N: usize>(&self, id: Uuid, at: u64, what: &str) -> Result<[u8; N]> {
        let found = self.items.get(&id);
        let (offset, length) = found.with_context(|| format!("the metadata has no {what}"))?;
        // usize to u64: lossless on every target Rust has.
        ensure!(
            *length >= at.saturating_add(N as u64),
            "the {what} in the metadata has {length} bytes"
        );
        let mut bytes = [0; N];
        let at = self.metadata.saturating_add(*offset).saturating_add(at);
        self.file.read(at, &mut bytes, what)?;
        Ok(bytes)
    }

    /// The number in an item, at the byte `at`.
    fn u32(&self, id: Uuid, at: u64, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(id, at, what)?))
    }
}

impl Blocks {
    /// The entry of a payload block in the BAT.
    fn index(&self, number: u64) -> u64 {
        number.saturating_add(number / self.chunk_ratio)
    }

    /// Checks that no two blocks are in the same place.
    fn check(&self, file: &ImageFile) -> Result<()> {
        let mut claims = Claims::new(file.length, 1 << 20, 0);
        let count = self.index(self.count).min(MOST_ENTRIES);
        file.each_entry(self.bat, count, ENTRY, &mut |index, entry| {
            // Every chunk ends with the entry of a sector bitmap block.
            let chunk = self.chunk_ratio.saturating_add(1);
            if index % chunk == self.chunk_ratio {
                return Ok(false);
            }
            let number = index.saturating_sub(index / chunk);
            let Some(start) = self.start(file, number, u64::from_le_bytes(entry))? else {
                return Ok(false);
            };
            claims.claim(start, self.block, &|| format!("block {number} of the disk"))?;
            Ok(true)
        })
    }

    /// Where a block of the disk begins in the file, in bytes, unless it is zeros.
    fn start(&self, file: &ImageFile, number: u64, entry: u64) -> Result<Option<u64>> {
        match entry & 7 {
            // Not present, undefined, zero, unmapped (section 2.5.1.1).
            0..=3 => return Ok(None),
            6 => {}
            state => bail!("block {number} of the disk has the invalid state {state}"),
        }
        let start = entry & OFFSET;
        ensure!(
            start > 0 && start < file.length,
            "block {number} of the disk begins at byte {start} of the file, which ends at {}: it is \
             truncated or damaged",
            file.length
        );
        Ok(Some(start))
    }
}

impl Map for Blocks {
    fn extent(&self, file: &ImageFile, at: u64) -> Result<Extent> {
        let number = at / self.block;
        let entry = file.entry(self.bat, self.index(number), ENTRY)?;
        let start = self.start(file, number, u64::from_le_bytes(entry))?;
        Ok(rest_of_block(at, self.block, start))
    }
}
