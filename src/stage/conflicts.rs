//! Files of `contents` at paths that are used for something else.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use super::graft::{self, Origins};
use crate::escape;
use crate::scheme::PartitionTable;
use crate::store::DATABASE;
use crate::tree::place::find_directory;
use crate::tree::{InodeId, Kind, Tree};

/// Rejects files at the path of Nix's database. In nixpkgs, Nix would use a database that it finds
/// there; here the database has already been generated from the closure.
///
/// # Errors
/// If there is such a file; the message names the entry.
pub fn reject_database(tree: &Tree, origins: &Origins<'_>) -> Result<()> {
    let found = below(tree, Path::new(DATABASE));
    let file = found
        .iter()
        .find(|(_, id)| !matches!(tree.inode(*id).kind, Kind::Directory(_)));
    let Some((path, id)) = file else {
        return Ok(());
    };
    let entry = origins.of(*id).map(|(_, entry)| graft::describe(entry));
    bail!(
        "{}: /{DATABASE}/{} is part of Nix's database, which is generated from the closure; remove \
         it, and to add store paths to the image, list them in additionalPaths",
        entry.as_deref().unwrap_or("contents"),
        escape::bytes(path)
    );
}

/// Returns a warning for every partition that will be mounted over files of `contents`.
pub fn hidden_by_mounts(tree: &Tree, origins: &Origins<'_>, table: PartitionTable) -> Vec<String> {
    let mut warnings = Vec::new();
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
        warnings.push(format!(
            "{}{also}: files below {mount_point} go into the root file system and are hidden when \
             the {partition} is mounted there; to put files on that partition, use the boot \
             loader's extraFiles or extraInstallCommands, or copy them in an activation script",
            graft::describe(first)
        ));
    }
    warnings
}

/// Returns everything below the directory at `path`, with relative paths; empty if `contents` did
/// not create that directory.
fn below(tree: &Tree, path: &Path) -> Vec<(Vec<u8>, InodeId)> {
    let mut found = Vec::new();
    // A path that leads nowhere or out of the image is rejected when the directory is created.
    if let Ok(Some(top)) = find_directory(tree, path) {
        tree.walk_below(top, |path, id| found.push((path.to_vec(), id)));
    }
    found
}
