//! A master boot record.

use std::io::Cursor;

use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBRHeader, MBRPartitionEntry};

use super::{Entry, Error, Partition};
use crate::scheme::PartitionTable;
use crate::spec::Identity;

/// The geometry parted assumes of an image file.
const HEADS: u8 = 4;
const SECTORS_PER_TRACK: u8 = 32;
const CYLINDERS: u16 = 1024;

/// The first sector of the disk.
pub(super) fn bytes(
    table: PartitionTable,
    partitions: &[Partition],
    identity: &Identity,
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let signature = identity.disk.as_fields().0.to_le_bytes();
    let mut header = MBRHeader::new(signature);
    for (number, partition) in (1..).zip(partitions) {
        let slot = header
            .get_mut(number)
            .ok_or_else(|| Error::Table(format!("an MBR has no entry {number}")))?;
        *slot = entry(table, partition)?;
    }
    let mut sector = Cursor::new(Vec::new());
    header
        .write_into(&mut sector)
        .map_err(|error| Error::Table(error.to_string()))?;
    Ok(vec![(0, sector.into_inner())])
}

fn entry(table: PartitionTable, partition: &Partition) -> Result<MBRPartitionEntry, Error> {
    let Entry::Mbr { system, active } = partition.entry else {
        return Ok(MBRPartitionEntry::empty());
    };
    let sectors = partition.last_sector + 1 - partition.first_sector;
    let too_large = |_| Error::MbrTooLarge { table, sectors };
    Ok(MBRPartitionEntry {
        boot: if active { BOOT_ACTIVE } else { BOOT_INACTIVE },
        first_chs: chs(partition.first_sector),
        sys: system,
        last_chs: chs(partition.last_sector),
        starting_lba: u32::try_from(partition.first_sector).map_err(too_large)?,
        sectors: u32::try_from(sectors).map_err(too_large)?,
    })
}

/// The address as cylinder, head, sector; the last one there is for everything beyond it, which is
/// what tells a BIOS to use the sector number.
fn chs(sector: u64) -> CHS {
    u32::try_from(sector)
        .ok()
        .and_then(|sector| CHS::from_lba_exact(sector, CYLINDERS, HEADS, SECTORS_PER_TRACK).ok())
        .unwrap_or(CHS::new(CYLINDERS - 1, HEADS - 1, SECTORS_PER_TRACK))
}
