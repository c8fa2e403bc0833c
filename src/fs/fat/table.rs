//! The allocation table, which links each cluster to the next one of its file (Microsoft FAT
//! specification, "FAT Data Structure").

use std::ops::Range;

use super::geometry::{FIRST, Geometry, Width};
use super::place::Placed;

/// The entry of the last cluster of a chain.
const END: u32 = 0x0fff_ffff;

/// The same for the root directory of FAT32, as `mkfs.fat` writes it and mtools keep it.
const END_OF_ROOT: u32 = 0x0fff_fff8;

/// Returns the table for `placed`, up to its last entry in use.
pub(super) fn bytes(geometry: &Geometry, placed: &Placed) -> Vec<u8> {
    let mut table = Table::new(geometry.width, placed.end);
    table.set(0, 0x0fff_ff00 | u32::from(geometry.media));
    table.set(1, END);
    for directory in &placed.directories {
        let next = directory.chain.iter().skip(1).copied().map(Some);
        for (&cluster, next) in directory.chain.iter().zip(next.chain([None])) {
            table.link(cluster, next);
        }
    }
    if let [directory, ..] = &placed.directories[..]
        && directory.chain == [FIRST]
    {
        table.set(FIRST, END_OF_ROOT);
    }
    for (_, Range { start, end }) in &placed.files {
        for cluster in *start..*end {
            table.link(cluster, (cluster + 1 < *end).then_some(cluster + 1));
        }
    }
    table.bytes
}

struct Table {
    width: Width,
    bytes: Vec<u8>,
}

impl Table {
    /// Makes a table with room for all clusters before `end`.
    fn new(width: Width, end: u64) -> Table {
        // At most the length of the table on disk, for which there is enough memory.
        let length = usize::try_from(width.bytes(end)).unwrap_or(usize::MAX);
        let bytes = vec![0; length];
        Table { width, bytes }
    }

    fn link(&mut self, cluster: u64, next: Option<u64>) {
        let next = next.map_or(Ok(END), u32::try_from);
        self.set(cluster, next.unwrap_or(END));
    }

    /// Sets an entry to the lower bits of `value`, as many as the entry has.
    fn set(&mut self, cluster: u64, value: u32) {
        let at = self.width.bytes(cluster);
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let [a, b, c, d] = value.to_le_bytes();
        match self.width {
            Width::Fat32 => self.bytes[at..at + 4].copy_from_slice(&[a, b, c, d]),
            Width::Fat16 => self.bytes[at..at + 2].copy_from_slice(&[a, b]),
            // Two entries share a byte. The first one uses its lower half.
            Width::Fat12 if cluster.is_multiple_of(2) => {
                self.bytes[at] = a;
                self.bytes[at + 1] = self.bytes[at + 1] & 0xf0 | b & 0x0f;
            }
            Width::Fat12 => {
                self.bytes[at - 1] = self.bytes[at - 1] & 0x0f | a << 4;
                self.bytes[at] = a >> 4 | b << 4;
            }
        }
    }
}
