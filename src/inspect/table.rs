//! A partition table of any kind, as read from a disk.

use anyhow::{Result, ensure};

use super::disk::Disk;

/// A partition table.
pub struct Table {
    /// Its kind and identifier.
    pub description: String,
    /// The partitions, by number. Without a table, the whole disk is partition 0.
    pub partitions: Vec<Found>,
}

/// A partition, which is not empty. [`Table::check`] checks that it is within the disk and overlaps
/// no other.
pub struct Found {
    /// Its number.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// The byte after its last one.
    pub end: u64,
    /// Type, identifier, name.
    pub description: String,
}

impl Table {
    /// Rejects a damaged table. In such a table, each of many partitions could span the whole disk.
    ///
    /// # Errors
    /// If a partition is not within the disk, or overlaps another.
    pub fn check(&self, disk: &Disk) -> Result<()> {
        let mut by_start: Vec<&Found> = self.partitions.iter().collect();
        by_start.sort_by_key(|partition| partition.start);
        for partition in &by_start {
            ensure!(
                partition.end <= disk.length,
                "partition {} ends at byte {}, but the image ends at {}: it is truncated",
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
