//! [`GuestClusters`]: where the clusters of the disk are in the file.

use std::iter;

use zerocopy::big_endian::U64;

use super::ondisk::{COMPRESSED, COPIED, SECTOR};
use super::{CLUSTER_BITS, ENTRIES};

/// The position in an L2 table entry of the number of additional sectors ("Compressed Clusters
/// Descriptor").
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);

/// The clusters of the disk that have data.
#[derive(Default)]
pub struct GuestClusters {
    /// Their L2 table entries, in the order of the disk.
    entries: Vec<u64>,
    /// Adjacent clusters, in the order of the disk.
    runs: Vec<Run>,
}

/// Adjacent clusters of the disk.
struct Run {
    /// Number of the first one.
    first: u64,
    /// Index of its entry.
    entry: usize,
}

/// Returns an index in an L2 table, or its length.
fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Returns the L2 table entry of a cluster that is stored as it is, at `offset`, in bytes.
pub fn plain(offset: u64) -> u64 {
    COPIED | offset
}

/// Returns the L2 table entry of a cluster whose compressed data are the `length` bytes at
/// `offset`. `length` is not 0.
pub fn compressed(offset: u64, length: u64) -> u64 {
    let additional = (offset + length - 1) / SECTOR - offset / SECTOR;
    COMPRESSED | additional << SECTORS_SHIFT | offset
}

impl GuestClusters {
    /// Adds the cluster `number`, which comes after all that were added before, with its L2 table
    /// entry.
    pub fn push(&mut self, number: u64, entry: u64) {
        // usize to u64: lossless on every target Rust has.
        let continues = self
            .runs
            .last()
            .is_some_and(|last| last.first + (self.entries.len() - last.entry) as u64 == number);
        if !continues {
            self.runs.push(Run {
                first: number,
                entry: self.entries.len(),
            });
        }
        self.entries.push(entry);
    }

    /// Returns the L2 tables that have entries, with their indexes in the L1 table, in order.
    pub fn l2_tables(&self) -> impl Iterator<Item = (u64, Vec<U64>)> {
        let mut entries = self.iter().peekable();
        iter::from_fn(move || {
            let &(first, _) = entries.peek()?;
            let number = first / ENTRIES;
            let mut table = Vec::new();
            while let Some((cluster, entry)) = entries.next_if(|it| it.0 / ENTRIES == number) {
                table.resize(index(cluster % ENTRIES), U64::ZERO);
                table.push(entry.into());
            }
            table.resize(index(ENTRIES), U64::ZERO);
            Some((number, table))
        })
    }

    /// Returns the numbers of the clusters and their L2 table entries, in the order of the disk.
    fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let ends = self.runs.iter().skip(1).map(|run| run.entry);
        let ends = ends.chain([self.entries.len()]);
        self.runs
            .iter()
            .zip(ends)
            .flat_map(|(run, end)| (run.first..).zip(self.entries[run.entry..end].iter().copied()))
    }
}
