//! Reads a GUID partition table (UEFI Specification 2.10, section 5.3). The crate that writes our
//! tables reads only entries of 128 bytes, and does not limit their number.

mod ondisk;

use anyhow::{Context, Result, bail, ensure};
use crc::{CRC_32_ISO_HDLC, Crc};
use uuid::Uuid;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use self::ondisk::{Entry, HeaderSector};
use super::kinds;
use super::table::{Damage, Kind, Partition, Place, Table};
use crate::container::{Disk, Facts};
use crate::layout::SECTOR;

/// The other length of a sector, in bytes.
const LARGE_SECTOR: u64 = 4096;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The largest supported entry, in bytes. Sizes are 128 times a power of two. The specification has
/// no limit, but in practice all entries have 128 bytes.
const LARGEST_ENTRY: usize = 4096;

/// The longest supported table, in bytes. Linux has the same limit (`block/partitions/efi.c`).
const LONGEST: u64 = 4 << 20;

/// A valid header.
struct Header {
    disk: Uuid,
    /// The sector of the header at the end of the disk.
    other: u64,
    /// The first and the last sector for partitions.
    usable: (u64, u64),
    /// First byte of the entries.
    start: u64,
    /// The number of entries, and the bytes of each.
    count: u64,
    size: usize,
    sum: u32,
}

/// Reads the table, or its backup if it is damaged, and notes the damage. If the length of a sector is
/// not known, it is the one with which there is a header.
///
/// # Errors
/// If both are damaged.
pub fn read(disk: &Disk) -> Result<Table> {
    let usual = read_with(disk, disk.sector.unwrap_or(SECTOR));
    match usual {
        Err(error) if disk.sector.is_none() => {
            let mut signature = [0; 8];
            let at = LARGE_SECTOR;
            let has_header = disk.read_up_to(at, &mut signature, "a signature")? == 8
                && signature == ondisk::Header::SIGNATURE;
            match has_header {
                true => read_with(disk, LARGE_SECTOR),
                false => Err(error),
            }
        }
        usual => usual,
    }
}

fn read_with(disk: &Disk, sector: u64) -> Result<Table> {
    let last = disk.length / sector * sector;
    let backup = || read_at(disk, sector, last.saturating_sub(sector));
    let (damage, (header, entries)) = match read_at(disk, sector, sector) {
        Ok(found) => {
            // The image may have grown since the table was written.
            let place = found.0.other.saturating_mul(sector);
            let damage = read_at(disk, sector, place).err();
            (
                damage.map(|error| format!("its backup cannot be used: {error:#}")),
                found,
            )
        }
        Err(error) => match backup() {
            Ok(found) => (Some(format!("read from its backup: {error:#}")), found),
            Err(_) => return Err(error),
        },
    };
    let whole = header
        .other
        .checked_add(1)
        .and_then(|n| n.checked_mul(sector));
    ensure!(
        whole.is_some_and(|whole| whole <= disk.length),
        "the image is truncated: its partition table is for a disk of {} bytes, but it has {}",
        whole.map_or_else(|| "more than 2^64".to_owned(), |whole| whole.to_string()),
        disk.length
    );
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(header.size)) {
        partitions.extend(partition(number, sector, entry)?);
    }
    let mut facts = Facts::default();
    facts.add("first_usable", header.usable.0);
    facts.add("last_usable", header.usable.1);
    facts.add("entries", header.count);
    facts.add("entry_size", header.size);
    Ok(Table {
        kind: Kind::Gpt,
        id: format!("{:X}", header.disk),
        sector,
        scheme: None,
        damage: damage.map(Damage),
        facts,
        partitions,
    })
}

/// Reads the header at `at`, and its entries.
fn read_at(disk: &Disk, sector_size: u64, at: u64) -> Result<(Header, Vec<u8>)> {
    let mut sector = HeaderSector::new_zeroed();
    disk.read(at, sector.as_mut_bytes(), "a GPT header")?;
    let header = header(sector, sector_size, at)?;
    let size = header.size as u64;
    let length = header.count.saturating_mul(size);
    ensure!(
        length <= LONGEST,
        "a header declares {} entries of {size} bytes, but at most {LONGEST} bytes of entries are \
         supported",
        header.count
    );
    let mut entries = vec![0; usize::try_from(length)?];
    disk.read(header.start, &mut entries, "the table")?;
    ensure!(
        CRC.checksum(&entries) == header.sum,
        "the checksum of the entries does not match the header"
    );
    Ok((header, entries))
}

/// Parses the header in `sector`, which was read from the byte `at`.
fn header(mut sector: HeaderSector, sector_size: u64, at: u64) -> Result<Header> {
    let found = &mut sector.header;
    ensure!(
        found.signature == ondisk::Header::SIGNATURE,
        "no header at byte {at}"
    );
    let length = usize::try_from(found.header_size.get())?;
    ensure!(
        (size_of::<ondisk::Header>()..=size_of::<HeaderSector>()).contains(&length),
        "the header at byte {at} declares an invalid length of {length} bytes"
    );
    let sum = found.header_crc32.get();
    found.header_crc32 = 0.into();
    ensure!(
        CRC.checksum(&sector.as_bytes()[..length]) == sum,
        "the checksum of the header at byte {at} does not match"
    );
    let found = &sector.header;
    let this = found.my_lba.get();
    ensure!(
        this.checked_mul(sector_size) == Some(at),
        "the header at byte {at} claims to be in sector {this}"
    );
    let size = usize::try_from(found.size_of_partition_entry.get())?;
    ensure!(
        (size_of::<Entry>()..=LARGEST_ENTRY).contains(&size) && size.is_power_of_two(),
        "the header at byte {at} declares an invalid entry size of {size} bytes"
    );
    let first = found.partition_entry_lba.get();
    let start = first.checked_mul(sector_size);
    Ok(Header {
        disk: Uuid::from_bytes_le(found.disk_guid),
        other: this.max(found.alternate_lba.get()),
        usable: (found.first_usable_lba.get(), found.last_usable_lba.get()),
        start: start
            .with_context(|| format!("the first sector of the table is out of range: {first}"))?,
        count: u64::from(found.number_of_partition_entries),
        size,
        sum: found.partition_entry_array_crc32.get(),
    })
}

/// Returns the partition of an entry, if the entry is used.
fn partition(number: u32, sector: u64, entry: &[u8]) -> Result<Option<Partition>> {
    let (entry, _) = Entry::ref_from_prefix(entry)
        .ok()
        .with_context(|| format!("the entry of partition {number} is too short"))?;
    let kind = Uuid::from_bytes_le(entry.partition_type_guid);
    if kind.is_nil() {
        return Ok(None);
    }
    let (first, last) = (entry.starting_lba.get(), entry.ending_lba.get());
    let start = first.checked_mul(sector);
    let end = last.checked_add(1).and_then(|end| end.checked_mul(sector));
    let Some((start, end)) = start.zip(end).filter(|(start, end)| start < end) else {
        bail!("partition {number} has invalid sectors: {first} to {last}");
    };
    let name = entry.partition_name.iter().map(|unit| unit.get());
    let name: Vec<u16> = name.take_while(|&unit| unit != 0).collect();
    let (role, kind_name) = kinds::of_guid(kind);
    Ok(Some(Partition {
        number,
        start,
        end,
        place: Place::Primary,
        role,
        kind: format!("{kind:X}"),
        kind_name,
        name: String::from_utf16_lossy(&name),
        uuid: Uuid::from_bytes_le(entry.unique_partition_guid).to_string(),
        attributes: entry.attributes.get(),
    }))
}
