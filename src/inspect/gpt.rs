//! Reading a GUID partition table (UEFI Specification 2.10, section 5.3). The crate that writes ours
//! reads entries of 128 bytes only, and as many as a header says.

use anyhow::{Context, Result, bail, ensure};
use crc::{CRC_32_ISO_HDLC, Crc};
use uuid::Uuid;

use super::disk::Disk;
use super::table::{Found, Table};
use crate::escape;
use crate::layout::SECTOR;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Bytes of a header that have a meaning, and of the smallest entry.
const HEADER: usize = 92;
const ENTRY: usize = 128;

/// The largest entry; each is twice as long as another or of 128 bytes. The specification has no
/// limit, and nobody makes any but the smallest.
const LARGEST_ENTRY: usize = 4096;

/// The longest table, in bytes: Linux reads no longer one (`block/partitions/efi.c`).
const LONGEST: u64 = 4 << 20;

/// A header that is sound.
struct Header {
    disk: Uuid,
    /// The sector where the other header is.
    other: u64,
    /// First byte of the entries.
    start: u64,
    /// How many there are, and bytes of each.
    count: u64,
    size: usize,
    sum: u32,
}

/// Reads the table, or its backup where it is damaged, which the description then says.
///
/// # Errors
/// If both are damaged.
pub fn read(disk: &Disk) -> Result<Table> {
    let last = disk.length / SECTOR * SECTOR;
    let backup = || read_at(disk, last.saturating_sub(SECTOR));
    let (damage, (header, entries)) = match read_at(disk, SECTOR) {
        Ok(found) => (String::new(), found),
        Err(error) => match backup() {
            Ok(found) => (format!(", read from its backup: {error:#}"), found),
            Err(_) => return Err(error),
        },
    };
    // It may have grown since.
    let whole = header
        .other
        .checked_add(1)
        .and_then(|n| n.checked_mul(SECTOR));
    ensure!(
        whole.is_some_and(|whole| whole <= disk.length),
        "the image was cut off: its partition table is that of a disk of {} bytes, and it has {}",
        whole.map_or_else(|| "more than 2^64".to_owned(), |whole| whole.to_string()),
        disk.length
    );
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(header.size)) {
        partitions.extend(partition(number, entry)?);
    }
    Ok(Table {
        description: format!("GPT {:X}{damage}", header.disk),
        partitions,
    })
}

/// The header at `at`, and its entries.
fn read_at(disk: &Disk, at: u64) -> Result<(Header, Vec<u8>)> {
    let mut sector = [0; 512];
    disk.read(at, &mut sector, "a header of the table")?;
    let header = header(&sector, at)?;
    let size = header.size as u64;
    let length = header.count.saturating_mul(size);
    ensure!(
        length <= LONGEST,
        "a header says that there are {} entries of {size} bytes, and more than {LONGEST} bytes of \
         entries are not read",
        header.count
    );
    let mut entries = vec![0; usize::try_from(length)?];
    disk.read(header.start, &mut entries, "the table")?;
    ensure!(
        CRC.checksum(&entries) == header.sum,
        "the entries have another checksum than their header says"
    );
    Ok((header, entries))
}

fn header(sector: &[u8; 512], at: u64) -> Result<Header> {
    ensure!(sector.starts_with(b"EFI PART"), "no header at byte {at}");
    let short = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n: usize| sector[at + n]));
    let long = |at: usize| u64::from(short(at)) | u64::from(short(at + 4)) << 32;
    let length = usize::try_from(short(12))?;
    ensure!(
        (HEADER..=sector.len()).contains(&length),
        "the header at byte {at} says that it has {length} bytes"
    );
    let mut summed = *sector;
    summed[16..20].fill(0);
    ensure!(
        CRC.checksum(&summed[..length]) == short(16),
        "the header at byte {at} has another checksum than it says"
    );
    ensure!(
        long(24).checked_mul(SECTOR) == Some(at),
        "the header at byte {at} says that it is in sector {}",
        long(24)
    );
    let size = usize::try_from(short(84))?;
    ensure!(
        (ENTRY..=LARGEST_ENTRY).contains(&size) && size.is_power_of_two(),
        "the header at byte {at} says that entries have {size} bytes"
    );
    let start = long(72).checked_mul(SECTOR);
    Ok(Header {
        disk: guid(&sector[56..]),
        other: long(24).max(long(32)),
        start: start.with_context(|| format!("the table begins in sector {}", long(72)))?,
        count: u64::from(short(80)),
        size,
        sum: short(88),
    })
}

/// The partition of an entry, if it is used.
fn partition(number: u32, entry: &[u8]) -> Result<Option<Found>> {
    let long =
        |at: usize| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|n: usize| entry[at + n]));
    let kind = guid(entry);
    if kind.is_nil() {
        return Ok(None);
    }
    let start = long(32).checked_mul(SECTOR);
    let end = long(40)
        .checked_add(1)
        .and_then(|end| end.checked_mul(SECTOR));
    let Some((start, end)) = start.zip(end).filter(|(start, end)| start < end) else {
        bail!(
            "partition {number} has impossible sectors: {} to {}",
            long(32),
            long(40)
        );
    };
    let name = entry[56..ENTRY].chunks_exact(2);
    let name = name.map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let name: Vec<u16> = name.take_while(|&unit| unit != 0).collect();
    Ok(Some(Found {
        number,
        start,
        end,
        description: format!(
            "type {kind:X}, {:X}, \"{}\"",
            guid(&entry[16..]),
            escape::bytes(String::from_utf16_lossy(&name).as_bytes())
        ),
    }))
}

/// The GUID that `bytes` begin with.
fn guid(bytes: &[u8]) -> Uuid {
    let mut guid = [0; 16];
    for (to, from) in guid.iter_mut().zip(bytes) {
        *to = *from;
    }
    Uuid::from_bytes_le(guid)
}
