//! The allocation table.

use anyhow::{Context, Result, bail, ensure};

use super::Fat;
use super::geometry::Width;
use crate::volume::runs::Run;

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Free,
    /// The chain continues with this cluster.
    Next(u64),
    End,
    Bad,
}

/// The most runs of a file: 48 MiB of memory.
const MOST_RUNS: usize = 2 << 20;

/// The table is read in pieces of this many bytes, which hold whole entries of every width.
const PIECE: u64 = 48 << 10;

impl Fat<'_> {
    /// Reads the entry of `cluster`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn next(&self, cluster: u64) -> Result<Entry> {
        let bits = self.geometry.width.bits();
        let at = cluster.saturating_mul(bits) / 8;
        let mut bytes = [0; 4];
        let count = if bits == 32 { 4 } else { 2 };
        let place = self.geometry.first_table.saturating_add(at);
        self.region
            .read(place, &mut bytes[..count], "the allocation table")?;
        Ok(self.parse(cluster, u32::from_le_bytes(bytes)))
    }

    /// The entry of `cluster`, from the number at its first byte.
    fn parse(&self, cluster: u64, number: u32) -> Entry {
        let (value, bad) = match self.geometry.width {
            Width::Bits12 if cluster % 2 == 1 => ((number >> 4) & 0xfff, 0xff7),
            Width::Bits12 => (number & 0xfff, 0xff7),
            Width::Bits16 => (number & 0xffff, 0xfff7),
            Width::Bits32 => (number & 0x0fff_ffff, 0x0fff_fff7),
        };
        match value {
            0 => Entry::Free,
            value if value == bad => Entry::Bad,
            value if value > bad => Entry::End,
            value => Entry::Next(value.into()),
        }
    }

    /// Calls `each` with every cluster that is not free.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn each_used(&self, each: &mut dyn FnMut(u64, Entry)) -> Result<()> {
        let geometry = &self.geometry;
        let bits = geometry.width.bits();
        let end = geometry.clusters.saturating_add(2);
        let length = end.saturating_mul(bits).div_ceil(8);
        let mut next = 0;
        // Most of the table of an empty file system is zeros.
        let table = geometry.first_table..geometry.first_table.saturating_add(length);
        while let Some((at, count)) = self.region.next_piece(&table, next, PIECE)? {
            next = at.saturating_add(count);
            let count = usize::try_from(count)?;
            let mut piece = vec![0; count.saturating_add(4)];
            let place = geometry.first_table.saturating_add(at);
            self.region
                .read(place, &mut piece[..count], "the allocation table")?;
            let first = at.saturating_mul(8) / bits;
            for cluster in first
                ..first
                    .saturating_add(PIECE.saturating_mul(8) / bits)
                    .min(end)
            {
                let within =
                    usize::try_from((cluster.saturating_mul(bits) / 8).saturating_sub(at))?;
                let bytes = piece.get(within..).and_then(|rest| rest.first_chunk());
                let Some(bytes) = bytes else { break };
                let entry = self.parse(cluster, u32::from_le_bytes(*bytes));
                if cluster >= 2 && entry != Entry::Free {
                    each(cluster, entry);
                }
            }
        }
        Ok(())
    }

    /// The number of clusters that are not free.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn used_clusters(&self) -> Result<u64> {
        let mut used = 0_u64;
        self.each_used(&mut |_, _| used = used.saturating_add(1))?;
        Ok(used)
    }

    /// The runs of the first `most` clusters of the chain that begins with `cluster`.
    ///
    /// # Errors
    /// If the chain is damaged, or a circle.
    pub fn chain(&self, cluster: u64, most: u64) -> Result<Vec<Run>> {
        let geometry = &self.geometry;
        let mut runs: Vec<Run> = Vec::new();
        let (mut cluster, mut count) = (cluster, 0_u64);
        while count < most {
            let place = geometry.place(cluster).with_context(|| {
                format!(
                    "its chain contains cluster {cluster}, but there are {} clusters: the file system is \
                     damaged",
                    geometry.clusters
                )
            })?;
            let at = count.saturating_mul(geometry.cluster);
            match runs.last_mut() {
                Some(last) if last.place == place.checked_sub(last.length) => {
                    last.length = last.length.saturating_add(geometry.cluster);
                }
                _ => runs.push(Run {
                    at,
                    length: geometry.cluster,
                    place: Some(place),
                }),
            }
            count = count.saturating_add(1);
            ensure!(
                count <= geometry.clusters,
                "its chain of clusters is a circle: the file system is damaged"
            );
            ensure!(
                runs.len() <= MOST_RUNS,
                "it is in more than {MOST_RUNS} pieces"
            );
            match self.next(cluster)? {
                Entry::Next(next) => cluster = next,
                Entry::End => break,
                Entry::Free | Entry::Bad => bail!(
                    "its chain leads to cluster {cluster}, which is not in use: the file system is damaged"
                ),
            }
        }
        Ok(runs)
    }
}
