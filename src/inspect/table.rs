//! Reading partition tables.

use std::io::Cursor;

use anyhow::{Context, Result, ensure};
use mbrman::MBRHeader;

use super::disk::Disk;
use super::gpt;
use crate::layout::SECTOR;

/// The type of the one MBR partition that protects a GPT (UEFI Specification, section 5.2.3).
const PROTECTIVE: u8 = 0xee;

/// Types of MBR partitions that hold others.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// A partition table as it was found.
pub struct Table {
    /// Its kind and identifier.
    pub description: String,
    /// The partitions, by number. Without a table: one, number 0, the whole disk.
    pub partitions: Vec<Found>,
}

/// A partition as it was found. None is without bytes, reaches beyond the disk, or into another.
pub struct Found {
    /// Its number.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// The byte behind its last.
    pub end: u64,
    /// Type, identifier, name.
    pub description: String,
}

impl Table {
    /// Reads the table of a disk.
    ///
    /// # Errors
    /// If it can't be read or is damaged.
    pub fn read(disk: &Disk) -> Result<Table> {
        ensure!(disk.length >= SECTOR, "{} bytes are no disk", disk.length);
        let Some(header) = mbr(disk)? else {
            return Ok(Table {
                description: "no partition table".to_owned(),
                partitions: vec![Found {
                    number: 0,
                    start: 0,
                    end: disk.length,
                    description: "the whole disk".to_owned(),
                }],
            });
        };
        let table = match header.iter().any(|(_, entry)| entry.sys == PROTECTIVE) {
            true => gpt::read(disk).context("the GUID partition table")?,
            false => of_mbr(&header),
        };
        table.check(disk)?;
        Ok(table)
    }

    /// What is in no order, as in a damaged table, is not read: of many partitions each may be the
    /// whole disk.
    fn check(&self, disk: &Disk) -> Result<()> {
        let mut by_start: Vec<&Found> = self.partitions.iter().collect();
        by_start.sort_by_key(|partition| partition.start);
        for partition in &by_start {
            ensure!(
                partition.end <= disk.length,
                "partition {} ends at byte {} and the image at {}: it was cut off",
                partition.number,
                partition.end,
                disk.length
            );
        }
        for pair in by_start.windows(2) {
            ensure!(
                pair[0].end <= pair[1].start,
                "partition {} begins at byte {}, and partition {} ends at {}: they overlap",
                pair[1].number,
                pair[1].start,
                pair[0].number,
                pair[0].end
            );
        }
        Ok(())
    }
}

/// The MBR, where there is one with a partition in it: a boot sector of FAT has its mark too.
fn mbr(disk: &Disk) -> Result<Option<MBRHeader>> {
    let mut sector = [0; 512];
    disk.read(0, &mut sector, "the first sector")?;
    let header = MBRHeader::read_from(&mut Cursor::new(sector)).ok();
    Ok(header.filter(|header| header.iter().any(|(_, entry)| entry.is_used())))
}

/// Partitions without sectors are none, as in Linux (`block/partitions/msdos.c`).
fn of_mbr(header: &MBRHeader) -> Table {
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
                    true => ", extended: what is in it is not listed",
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
