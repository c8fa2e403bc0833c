//! Reads a master boot record.

use std::io::Cursor;

use anyhow::Result;
use mbrman::MBRHeader;

use super::disk::Disk;
use super::table::{Found, Table};
use crate::layout::SECTOR;

/// The type of the single MBR partition that protects a GPT (UEFI Specification, section 5.2.3).
const PROTECTIVE: u8 = 0xee;

/// Types of MBR partitions that contain other partitions.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// Returns the MBR, if there is one with a partition. A FAT boot sector has the same signature, but
/// no partitions.
///
/// # Errors
/// If the disk cannot be read.
pub fn read(disk: &Disk) -> Result<Option<MBRHeader>> {
    let mut sector = [0; 512];
    disk.read(0, &mut sector, "the first sector")?;
    let header = MBRHeader::read_from(&mut Cursor::new(sector)).ok();
    Ok(header.filter(|header| header.iter().any(|(_, entry)| entry.is_used())))
}

/// Whether the MBR only protects a GUID partition table.
pub fn is_protective(header: &MBRHeader) -> bool {
    header.iter().any(|(_, entry)| entry.sys == PROTECTIVE)
}

/// Returns its partitions. Entries without sectors are skipped, as in Linux
/// (`block/partitions/msdos.c`).
pub fn table(header: &MBRHeader) -> Table {
    let signature = u32::from_le_bytes(header.disk_signature);
    let partitions = (1..)
        .zip(header.iter())
        .filter(|(_, (_, entry))| entry.is_used() && entry.sectors > 0);
    Table {
        description: format!("MBR {signature:08x}"),
        partitions: partitions
            .map(|(number, (_, entry))| {
                let start = u64::from(entry.starting_lba) * SECTOR;
                let active = if entry.is_active() { ", active" } else { "" };
                let extended = match EXTENDED.contains(&entry.sys) {
                    true => ", extended: its partitions are not listed",
                    false => "",
                };
                Found {
                    number,
                    start,
                    end: start + u64::from(entry.sectors) * SECTOR,
                    description: format!("type {:#04x}{active}{extended}", entry.sys),
                }
            })
            .collect(),
    }
}
