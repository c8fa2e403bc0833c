//! Reads partition tables of any program: GPT and MBR, with sectors of 512 or 4096 bytes.

mod gpt;
mod kinds;
mod mbr;
mod scheme;
mod table;

pub(crate) use table::{Kind, Partition, Place, Table};

use anyhow::{Context, Result, ensure};

use crate::container::Disk;
use crate::layout::SECTOR;

/// Reads the partition table of `disk`. If there is none, the whole disk is the only partition.
///
/// # Errors
/// If the disk cannot be read, or the table and its backup are damaged.
pub(crate) fn read(disk: &Disk) -> Result<Table> {
    let length = disk.length;
    ensure!(
        length >= SECTOR,
        "too small for a disk image: {length} bytes"
    );
    let mut table = match mbr::read(disk, 0)? {
        None => Table::whole_disk(disk),
        Some(header) if mbr::is_protective(&header) => {
            gpt::read(disk).context("reading the GUID partition table")?
        }
        Some(header) => mbr::table(disk, &header)?,
    };
    table.check(disk)?;
    scheme::recognize(&mut table);
    Ok(table)
}
