//! Reading partition tables.

use std::fs::File;

use anyhow::{Context, Result, ensure};
use mbrman::MBRHeader;

use crate::escape;
use crate::layout::SECTOR;

/// The type of the one MBR partition that protects a GPT (UEFI Specification, section 5.2.3).
const PROTECTIVE: u8 = 0xee;

/// A partition table as it was found.
pub struct Table {
    /// Its kind and identifier.
    pub description: String,
    /// The partitions, by number. Without a table: one, number 0, the whole disk.
    pub partitions: Vec<Found>,
}

/// A partition as it was found.
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
    /// Reads the table of a disk of `length` bytes.
    ///
    /// # Errors
    /// If it can't be read or is damaged.
    pub fn read(file: &File, length: u64) -> Result<Table> {
        ensure!(length >= SECTOR, "{length} bytes are no disk");
        let Some(header) = mbr(file) else {
            return Ok(Table {
                description: "no partition table".to_owned(),
                partitions: vec![Found {
                    number: 0,
                    start: 0,
                    end: length,
                    description: "the whole disk".to_owned(),
                }],
            });
        };
        match header.iter().any(|(_, entry)| entry.sys == PROTECTIVE) {
            true => gpt(file),
            false => Ok(of_mbr(&header)),
        }
    }
}

/// The MBR, where there is one with a partition in it: a boot sector of FAT has its mark too.
fn mbr(mut file: &File) -> Option<MBRHeader> {
    let header = MBRHeader::read_from(&mut file).ok()?;
    let used = header.iter().any(|(_, entry)| entry.is_used());
    used.then_some(header)
}

fn of_mbr(header: &MBRHeader) -> Table {
    let signature = u32::from_le_bytes(header.disk_signature);
    let partitions = (1..)
        .zip(header.iter())
        .filter(|(_, (_, entry))| entry.is_used());
    Table {
        description: format!("MBR {signature:08x}"),
        partitions: partitions
            .map(|(number, (_, entry))| {
                let start = u64::from(entry.starting_lba) * SECTOR;
                let active = if entry.is_active() { ", active" } else { "" };
                Found {
                    number,
                    start,
                    end: start + u64::from(entry.sectors) * SECTOR,
                    description: format!("type {:#04x}{active}", entry.sys),
                }
            })
            .collect(),
    }
}

fn gpt(file: &File) -> Result<Table> {
    let device = file.try_clone().context("duplicating the file")?;
    let disk = gpt::GptConfig::new()
        .writable(false)
        .open_from_device(device)
        .context("the GUID partition table")?;
    let used = disk
        .partitions()
        .iter()
        .filter(|(_, entry)| entry.is_used());
    let partitions = used.map(|(&number, entry)| {
        let end = entry
            .last_lba
            .checked_add(1)
            .and_then(|end| end.checked_mul(SECTOR));
        let start = entry.first_lba.checked_mul(SECTOR);
        let (start, end) = start
            .zip(end)
            .filter(|(start, end)| start <= end)
            .with_context(|| format!("partition {number} has impossible sectors"))?;
        Ok(Found {
            number,
            start,
            end,
            description: format!(
                "type {:X}, {:X}, \"{}\"",
                entry.part_type_guid.guid,
                entry.part_guid,
                escape::bytes(entry.name.as_bytes())
            ),
        })
    });
    Ok(Table {
        description: format!("GPT {:X}", disk.guid()),
        partitions: partitions.collect::<Result<_>>()?,
    })
}
