//! What each cluster is used for.

use anyhow::{Result, ensure};

use super::{Fat, ROOT};
use crate::volume::contents::Contents;
use crate::volume::node::{FileSystem, Node};
use crate::volume::runs::{Owner, Owners, Run};

/// The most ranges that are kept: 128 MiB of memory.
const MOST: usize = 4 << 20;

/// Finds the owners of all sectors of `fat`.
///
/// # Errors
/// If there are too many. Directories and files that are damaged own nothing.
pub fn find(fat: &Fat<'_>) -> Result<Owners> {
    let geometry = &fat.geometry;
    let mut owners = Owners::default();
    let sector = |number: u64| {
        let start = number.saturating_mul(geometry.sector);
        start..start.saturating_add(geometry.sector)
    };
    let mut reserved = 0;
    for (number, owner) in [
        (0, Owner::BootSector),
        (geometry.info, Owner::FsInfo),
        (geometry.backup, Owner::BootSectorCopy),
        (geometry.backup.saturating_add(geometry.info), Owner::FsInfo),
    ] {
        let is_known = number > 0 && geometry.backup > 0 || owner == Owner::BootSector;
        let range = sector(number);
        if is_known && range.start >= reserved && range.end <= geometry.first_table {
            owners.add(reserved..range.start, Owner::Reserved);
            reserved = range.end;
            owners.add(range, owner);
        }
    }
    owners.add(reserved..geometry.first_table, Owner::Reserved);
    for table in 0..geometry.tables {
        let start = table.saturating_mul(geometry.table_length);
        let start = geometry.first_table.saturating_add(start);
        let number = u32::try_from(table).unwrap_or(u32::MAX);
        owners.add(
            start..start.saturating_add(geometry.table_length),
            Owner::Table(number),
        );
    }
    let end = geometry.clusters.saturating_mul(geometry.cluster);
    let end = geometry.data.saturating_add(end);
    owners.add(end..fat.region.length.max(end), Owner::Beyond);
    let mut walk = Walk {
        fat,
        owners,
        seen: Bits::new(geometry.clusters.saturating_add(2)),
    };
    walk.directory(Node { id: ROOT }, 0)?;
    let Walk {
        mut owners, seen, ..
    } = walk;
    fat.each_used(&mut |cluster, _| {
        if !seen.contains(cluster)
            && owners.len() < MOST
            && let Some(place) = geometry.place(cluster)
        {
            owners.add(place..place.saturating_add(geometry.cluster), Owner::Lost);
        }
    })?;
    Ok(owners.finish())
}

/// A set of clusters.
struct Bits(Vec<u64>);

impl Bits {
    /// For numbers below `end`, of which there are fewer than 2^28 on FAT32.
    fn new(end: u64) -> Bits {
        Bits(vec![0; usize::try_from(end.div_ceil(64)).unwrap_or(0)])
    }

    fn word(cluster: u64) -> usize {
        usize::try_from(cluster / 64).unwrap_or(usize::MAX)
    }

    fn contains(&self, cluster: u64) -> bool {
        let word = self.0.get(Bits::word(cluster));
        word.is_some_and(|word| word & 1 << (cluster % 64) != 0)
    }

    fn insert(&mut self, cluster: u64) {
        if let Some(word) = self.0.get_mut(Bits::word(cluster)) {
            *word |= 1 << (cluster % 64);
        }
    }
}

/// A walk through all directories.
struct Walk<'a> {
    fat: &'a Fat<'a>,
    owners: Owners,
    /// Clusters that have an owner.
    seen: Bits,
}

impl Walk<'_> {
    /// Adds `runs`, unless a part of them is in use already. Returns whether it did.
    fn claim(&mut self, runs: &[Run]) -> bool {
        let geometry = &self.fat.geometry;
        let clusters = runs.iter().filter_map(|run| {
            let first = run.place?.checked_sub(geometry.data)? / geometry.cluster;
            let first = first.saturating_add(2);
            Some(first..first.saturating_add(run.length / geometry.cluster))
        });
        let clusters: Vec<_> = clusters.collect();
        let mut all = clusters.iter().cloned().flatten();
        if all.any(|cluster| self.seen.contains(cluster)) {
            return false;
        }
        clusters
            .into_iter()
            .flatten()
            .for_each(|cluster| self.seen.insert(cluster));
        true
    }

    fn directory(&mut self, node: Node, depth: u32) -> Result<()> {
        ensure!(depth < 256, "directories are nested too deeply");
        ensure!(
            self.owners.len() <= MOST,
            "there are more than {MOST} pieces of files"
        );
        let fat = self.fat;
        let Ok(Contents::Runs { runs, .. }) = fat.directory(node) else {
            return Ok(());
        };
        if !self.claim(&runs) {
            return Ok(());
        }
        let id = match node.id {
            ROOT => ROOT,
            place => fat.entry(place)?.cluster(&fat.geometry),
        };
        for run in &runs {
            let place = run.place.unwrap_or_default();
            self.owners.add(
                place..place.saturating_add(run.length),
                Owner::Directory(id),
            );
        }
        for (_, child) in fat.list(node).unwrap_or_default() {
            let entry = fat.entry(child.id)?;
            if entry.is_directory() {
                self.directory(child, depth.saturating_add(1))?;
                continue;
            }
            let cluster = entry.cluster(&fat.geometry);
            let Ok(Contents::Runs { size, runs }) = fat.contents(child) else {
                continue;
            };
            if !self.claim(&runs) {
                continue;
            }
            for run in &runs {
                let place = run.place.unwrap_or_default();
                let used = size.saturating_sub(run.at).min(run.length);
                let middle = place.saturating_add(used);
                self.owners.add(place..middle, Owner::Contents(cluster));
                let end = place.saturating_add(run.length);
                self.owners.add(middle..end, Owner::Slack(cluster));
            }
        }
        Ok(())
    }
}
