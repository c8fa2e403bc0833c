//! What is read from a partition table, of whichever kind.

use anyhow::{Result, ensure};

use super::disk::Disk;

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
    /// Refuses what is in no order, as in a damaged table: of many partitions each may be the whole
    /// disk.
    ///
    /// # Errors
    /// If a partition is not on the disk, or overlaps another.
    pub fn check(&self, disk: &Disk) -> Result<()> {
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
