//! A master boot record.

use std::io::Cursor;

use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBRHeader, MBRPartitionEntry};

use super::{Error, Layout, Partition};
use crate::scheme::{Entry, PartitionTable};
use crate::spec::Identity;

/// The geometry that parted assumes for an image file.
const HEADS: u8 = 4;
const SECTORS_PER_TRACK: u8 = 32;
const CYLINDERS: u16 = 1024;

/// Returns the first sector of the disk.
pub(super) fn bytes(layout: &Layout, identity: &Identity) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let signature = identity.disk.as_fields().0.to_le_bytes();
    let mut header = MBRHeader::new(signature);
    for (number, partition) in (1..).zip(&layout.partitions) {
        let slot = header
            .get_mut(number)
            .ok_or_else(|| Error::Table(format!("an MBR has no entry {number}")))?;
        *slot = entry(layout.table, partition)?;
    }
    let mut sector = Cursor::new(Vec::new());
    header
        .write_into(&mut sector)
        .map_err(|error| Error::Table(error.to_string()))?;
    Ok(vec![(0, sector.into_inner())])
}

/// Returns the first sector and the number of sectors for an MBR.
///
/// # Errors
/// If the partition is too long or too far from the start of the disk.
pub(super) fn address(table: PartitionTable, partition: &Partition) -> Result<(u32, u32), Error> {
    let sectors = partition.last_sector + 1 - partition.first_sector;
    let too_large = |_| Error::MbrTooLarge { table, sectors };
    Ok((
        u32::try_from(partition.first_sector).map_err(too_large)?,
        u32::try_from(sectors).map_err(too_large)?,
    ))
}

fn entry(table: PartitionTable, partition: &Partition) -> Result<MBRPartitionEntry, Error> {
    let Entry::Mbr { system, active } = partition.scheme.entry else {
        return Ok(MBRPartitionEntry::empty());
    };
    let (starting_lba, sectors) = address(table, partition)?;
    Ok(MBRPartitionEntry {
        boot: if active { BOOT_ACTIVE } else { BOOT_INACTIVE },
        first_chs: chs(partition.first_sector),
        sys: system,
        last_chs: chs(partition.last_sector),
        starting_lba,
        sectors,
    })
}

/// Returns the address as cylinder, head and sector. Beyond the last address, it returns the last
/// one, which makes a BIOS use the sector number.
fn chs(sector: u64) -> CHS {
    u32::try_from(sector)
        .ok()
        .and_then(|sector| CHS::from_lba_exact(sector, CYLINDERS, HEADS, SECTORS_PER_TRACK).ok())
        .unwrap_or(CHS::new(CYLINDERS - 1, HEADS - 1, SECTORS_PER_TRACK))
}
