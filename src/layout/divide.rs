//! The first and the last sector of each partition of a disk of a given length.

use super::{Error, Layout, MEBIBYTE, Partition, SECTOR, gpt, mbr};
use crate::scheme::{First, Last, MIB, PartitionTable, TableKind};

/// Returns the first sector after the boot partition that ends at `boot_end` bytes, or 0 if there
/// is no boot partition.
pub(super) fn boot_end_sector(table: PartitionTable, boot_end: u64) -> Result<u64, Error> {
    let Some(begin) = table.scheme().boot_begin() else {
        return Ok(0);
    };
    let end = mebibytes("the end of the boot partition", boot_end)?;
    if end * MIB <= begin {
        return Err(Error::BootSize {
            table,
            begin: begin / MIB,
            end,
        });
    }
    Ok(end * MIB)
}

/// Converts `bytes` to MiB. `quantity` names the value in the error message.
pub(super) fn mebibytes(quantity: &'static str, bytes: u64) -> Result<u64, Error> {
    if i64::try_from(bytes).is_err() {
        return Err(Error::TooLarge(bytes));
    }
    if bytes.is_multiple_of(MEBIBYTE) {
        Ok(bytes / MEBIBYTE)
    } else {
        Err(Error::NotWholeMebibytes { quantity, bytes })
    }
}

/// Divides a disk. The boot partition ends before the sector `boot_end`. Returns `None` if there is
/// no room for a partition.
pub(super) fn divide(
    table: PartitionTable,
    boot_end: u64,
    disk_length: u64,
) -> Result<Option<Layout>, Error> {
    let scheme = table.scheme();
    let mut partitions = Vec::with_capacity(scheme.partitions.len());
    let numbers = match scheme.kind {
        TableKind::None => 0..,
        TableKind::Mbr | TableKind::Gpt => 1..,
    };
    for (number, scheme) in numbers.zip(scheme.partitions) {
        let first_sector = first_sector(scheme.first, boot_end);
        let last_sector = match scheme.last {
            Last::Sector(sector) => Some(sector),
            Last::BootEnd => boot_end.checked_sub(1),
            Last::DiskEnd => disk_end(table, first_sector, disk_length / SECTOR),
        };
        let Some(last_sector) = last_sector.filter(|&last| first_sector <= last) else {
            return Ok(None);
        };
        partitions.push(Partition {
            number,
            first_sector,
            last_sector,
            scheme,
        });
    }
    if scheme.kind == TableKind::Mbr {
        for partition in &partitions {
            mbr::address(table, partition)?;
        }
    }
    Ok(Some(Layout {
        disk_length,
        table,
        partitions,
    }))
}

pub(super) fn first_sector(first: First, boot_end: u64) -> u64 {
    match first {
        First::Sector(sector) => sector,
        First::BootEnd => boot_end,
    }
}

/// Returns the last sector that parted chooses for `100%`, for a partition that begins at `first`
/// on a disk of `sectors`.
fn disk_end(table: PartitionTable, first: u64, sectors: u64) -> Option<u64> {
    match table.scheme().kind {
        TableKind::None | TableKind::Mbr => sectors.checked_sub(1),
        TableKind::Gpt => gpt_end(first, sectors),
    }
}

/// For parted, `100%` is any sector within half a percent of the disk's end. In a GPT, it chooses
/// the last one that ends at a whole MiB, or else the last usable one (the backup table takes 33
/// sectors). If neither is in range, it fails.
fn gpt_end(first: u64, sectors: u64) -> Option<u64> {
    let reach = (sectors / 100 / 2).checked_sub(1)?;
    let nearest = sectors.checked_sub(1 + reach)?;
    let usable = sectors.checked_sub(gpt::BACKUP_SECTORS)?;
    let aligned = usable / MIB * MIB;
    [aligned, usable]
        .into_iter()
        .filter_map(|end| end.checked_sub(1))
        .find(|&last| last >= nearest && last >= first)
}
