//! Files of `contents` in places that something else takes.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use super::graft::{self, Origins};
use crate::escape;
use crate::scheme::PartitionTable;
use crate::store::DATABASE;
use crate::tree::place::find_directory;
use crate::tree::{InodeId, Kind, Tree};

/// Refuses files in the place of Nix's database. In nixpkgs, Nix would go on with a database that
/// it finds there; here it has made one already, from the closure.
///
/// # Errors
/// Naming the entry.
pub fn refuse_database(tree: &Tree, origins: &Origins<'_>) -> Result<()> {
    let found = below(tree, Path::new(DATABASE));
    let file = found
        .iter()
        .find(|(_, id)| !matches!(tree.inode(*id).kind, Kind::Directory(_)));
    let Some((path, id)) = file else {
        return Ok(());
    };
    let entry = origins.of(*id).map(|(_, entry)| graft::describe(entry));
    bail!(
        "{}: /{DATABASE}/{} is a part of Nix's database, which is made from the closure; take it \
         out, and to have more store paths in the image, name them in additionalPaths",
        entry.as_deref().unwrap_or("contents"),
        escape::bytes(path)
    );
}

/// A sentence for every partition that will be mounted over files of `contents`.
pub fn hidden_by_mounts(tree: &Tree, origins: &Origins<'_>, table: PartitionTable) -> Vec<String> {
    let mut sentences = Vec::new();
    for (partition, fat) in table.scheme().fat_partitions() {
        let (partition, mount_point) = (partition.role.partition_name(), fat.mount_point);
        let entries: BTreeSet<usize> = below(tree, Path::new(mount_point))
            .iter()
            .filter_map(|(_, id)| Some(origins.of(*id)?.0))
            .collect();
        let first = entries.first().and_then(|first| origins.entry(*first));
        let Some(first) = first else { continue };
        let also = match entries.len() {
            1 => String::new(),
            more => format!(" (and {} more)", more - 1),
        };
        sentences.push(format!(
            "{}{also}: what is below {mount_point} is in the root file system, and hidden as soon \
             as the {partition} is mounted there; to have files on that partition, use the boot \
             loader's extraFiles or extraInstallCommands, or copy them in an activation script",
            graft::describe(first)
        ));
    }
    sentences
}

/// Everything below the directory at `path`, with its path from there on, as far as `contents` have
/// made a way to it.
fn below(tree: &Tree, path: &Path) -> Vec<(Vec<u8>, InodeId)> {
    let mut found = Vec::new();
    // A way that leads nowhere or out of the image is refused when the directory is made.
    if let Ok(Some(top)) = find_directory(tree, path) {
        tree.walk_below(top, |path, id| found.push((path.to_vec(), id)));
    }
    found
}
