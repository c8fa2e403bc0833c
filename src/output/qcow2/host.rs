//! [`HostClusters`]: which clusters of the file are in use.

use anyhow::{Context, Result};
use zerocopy::big_endian::U16;

use super::CLUSTER;

/// The clusters of the file, which are allocated from the first one on.
pub struct HostClusters {
    /// The refcount of each cluster that was allocated.
    refcounts: Vec<U16>,
    /// Where the last compressed data ends, in bytes.
    packed_end: u64,
}

impl HostClusters {
    /// No cluster is in use but the first one, which contains the header.
    pub fn new() -> HostClusters {
        HostClusters {
            refcounts: vec![U16::new(1)],
            packed_end: 0,
        }
    }

    /// The number of clusters that are in use, all from the beginning of the file.
    pub fn count(&self) -> u64 {
        // usize to u64: lossless on every target Rust has.
        self.refcounts.len() as u64
    }

    /// Where the first unused cluster begins, in bytes.
    pub fn end(&self) -> u64 {
        self.count() * CLUSTER
    }

    /// Their refcounts.
    pub fn refcounts(&self) -> &[U16] {
        &self.refcounts
    }

    /// Allocates `count` adjacent clusters, and returns where they begin, in bytes.
    pub fn whole(&mut self, count: usize) -> u64 {
        let start = self.end();
        let length = self.refcounts.len() + count;
        self.refcounts.resize(length, U16::new(1));
        start
    }

    /// Allocates `length` bytes for a compressed cluster of the disk, at most [`CLUSTER`], and returns
    /// where they begin, in bytes. Like those of `qemu-img`, they follow the last compressed data if
    /// the rest of its cluster has room for them, or if the next cluster of the file is unused, too.
    ///
    /// # Errors
    /// If more of them share a cluster of the file than a refcount can count.
    pub fn packed(&mut self, length: u64) -> Result<u64> {
        let (border, end) = (self.packed_end.next_multiple_of(CLUSTER), self.end());
        let start = match self.packed_end + length <= border || border == end {
            true => self.packed_end,
            false => end,
        };
        self.packed_end = start + length;
        for cluster in start / CLUSTER..self.packed_end.div_ceil(CLUSTER) {
            if cluster == self.count() {
                self.refcounts.push(U16::new(0));
            }
            let cluster = usize::try_from(cluster)?;
            let refcount = self.refcounts[cluster].get().checked_add(1);
            let refcount = refcount.with_context(|| {
                let most = u16::MAX;
                format!("a cluster of the file is in use by more than {most} of the disk")
            })?;
            self.refcounts[cluster] = refcount.into();
        }
        Ok(start)
    }
}
