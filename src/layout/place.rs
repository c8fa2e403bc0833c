//! Placing partitions on a disk.

use super::divide::{boot_end_sector, divide, mebibytes};
use super::{Error, Layout, MEBIBYTE, shortest_disk_length};
use crate::scheme::PartitionTable;

/// Divides a disk of `disk_length` bytes. `boot_end` is the end of the boot partition in bytes;
/// types without a boot partition ignore it. Both must be whole numbers of MiB.
///
/// # Errors
/// See [`Error`].
pub fn place(table: PartitionTable, boot_end: u64, disk_length: u64) -> Result<Layout, Error> {
    let disk = mebibytes("the size of the disk", disk_length)?;
    if let Some(layout) = divide(table, boot_end_sector(table, boot_end)?, disk_length)? {
        return Ok(layout);
    }
    Err(Error::NoRoom {
        table,
        disk,
        smallest: shortest_disk_length(table, boot_end, 1)? / MEBIBYTE,
    })
}
