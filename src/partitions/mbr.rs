//! Reads a master boot record, and the chain of logical partitions in an extended one. The crate that
//! reads the records refuses a chain that is not in the order of the disk, as partitioning programs may
//! write it, and its sums of sectors may overflow.

use std::collections::BTreeSet;
use std::io::Cursor;

use anyhow::{Context, Result, bail, ensure};
use mbrman::{MBRHeader, MBRPartitionEntry};

use super::kinds;
use super::table::{Kind, Partition, Place, Table};
use crate::container::{Disk, Facts};
use crate::layout::SECTOR;

/// The type of the single MBR partition that protects a GPT (UEFI Specification, section 5.2.3).
const PROTECTIVE: u8 = 0xee;

/// Types of MBR partitions that contain other partitions.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// The number of the first logical partition.
const FIRST_LOGICAL: u32 = 5;

/// The most logical partitions: Linux has at most 255 partitions on a disk.
const MOST_LOGICAL: usize = 251;

/// Returns the MBR, or the record of the same form, at the byte `at`, if there is one with a partition.
/// A FAT boot sector has the same signature, but no partitions, or code in their place.
///
/// # Errors
/// If the disk cannot be read.
pub fn read(disk: &Disk, at: u64) -> Result<Option<MBRHeader>> {
    let mut sector = [0; 512];
    disk.read(at, &mut sector, "the first sector")?;
    let header = MBRHeader::read_from(&mut Cursor::new(sector)).ok();
    Ok(header.filter(|header| {
        let is_flag = |flag| flag == 0 || flag == 0x80;
        header.iter().any(|(_, entry)| entry.is_used())
            && header.iter().all(|(_, entry)| is_flag(entry.boot))
    }))
}

/// Whether the MBR only protects a GUID partition table.
pub fn is_protective(header: &MBRHeader) -> bool {
    header.iter().any(|(_, entry)| entry.sys == PROTECTIVE)
}

/// Reads the partitions. Entries without sectors are skipped, as in Linux
/// (`block/partitions/msdos.c`).
///
/// # Errors
/// If the disk cannot be read, or the logical partitions cannot be found.
pub fn table(disk: &Disk, header: &MBRHeader) -> Result<Table> {
    let chain = Chain {
        disk,
        sector: disk.sector.unwrap_or(SECTOR),
        signature: u32::from_le_bytes(header.disk_signature),
    };
    let mut partitions: Vec<Partition> = (1..)
        .zip(header.iter())
        .filter(|(_, (_, entry))| is_partition(entry))
        .map(|(number, (_, entry))| chain.partition(number, 0, entry))
        .collect();
    let extended = partitions.iter().find(|it| it.place == Place::Extended);
    if let Some(extended) = extended.cloned() {
        let logical = chain.logical(&extended);
        partitions.extend(logical.with_context(|| {
            format!(
                "reading the logical partitions in the extended partition {}",
                extended.number
            )
        })?);
    }
    Ok(Table {
        kind: Kind::Mbr,
        id: format!("{:08x}", chain.signature),
        sector: chain.sector,
        scheme: None,
        damage: None,
        facts: Facts::default(),
        partitions,
    })
}

fn is_partition(entry: &MBRPartitionEntry) -> bool {
    entry.is_used() && entry.sectors > 0
}

/// What all partitions have in common.
struct Chain<'a> {
    disk: &'a Disk,
    sector: u64,
    signature: u32,
}

impl Chain<'_> {
    /// The partition of an entry, whose sectors are counted from the byte `from`.
    fn partition(&self, number: u32, from: u64, entry: &MBRPartitionEntry) -> Partition {
        let start = u64::from(entry.starting_lba).saturating_mul(self.sector);
        let start = start.saturating_add(from);
        let length = u64::from(entry.sectors).saturating_mul(self.sector);
        let (role, kind_name) = kinds::of_byte(entry.sys);
        Partition {
            number,
            start,
            end: start.saturating_add(length),
            place: match EXTENDED.contains(&entry.sys) {
                true => Place::Extended,
                false if number >= FIRST_LOGICAL => Place::Logical,
                false => Place::Primary,
            },
            role,
            kind: format!("{:#04x}", entry.sys),
            kind_name,
            name: String::new(),
            uuid: format!("{:08x}-{number:02x}", self.signature),
            attributes: entry.is_active().into(),
        }
    }

    /// The logical partitions. Each record has one, and the place of the next record.
    fn logical(&self, extended: &Partition) -> Result<Vec<Partition>> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = Some(extended.start);
        while let Some(at) = next {
            ensure!(
                seen.insert(at),
                "the record at byte {at} is in the chain of records twice: the chain is a circle"
            );
            ensure!(
                seen.len() <= MOST_LOGICAL,
                "there are more than {MOST_LOGICAL} of them"
            );
            if at >= extended.end {
                bail!(
                    "a record is at byte {at}, but the extended partition ends at {}",
                    extended.end
                );
            }
            let Some(record) = read(self.disk, at)? else {
                // An extended partition may be empty.
                ensure!(seen.len() == 1, "there is no record at byte {at}");
                break;
            };
            next = None;
            for (_, entry) in record.iter().filter(|(_, entry)| is_partition(entry)) {
                if EXTENDED.contains(&entry.sys) {
                    let offset = u64::from(entry.starting_lba).saturating_mul(self.sector);
                    next = next.or(Some(extended.start.saturating_add(offset)));
                } else {
                    let number = u32::try_from(found.len())?.saturating_add(FIRST_LOGICAL);
                    found.push(self.partition(number, at, entry));
                }
            }
        }
        Ok(found)
    }
}
