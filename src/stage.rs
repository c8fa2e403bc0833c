//! From a [`Spec`] to the [`Tree`] of its root file system.

mod closure;
mod conflicts;
pub mod graft;
mod merge;
pub mod scan;

use std::path::Path;

use anyhow::{Context, Result};

use crate::progress::Log;
use crate::spec::{Installation, Spec, System};
use crate::store;
use crate::tree::place::make_directories;
use crate::tree::{InodeId, Metadata, Timestamp, Tree};

use graft::Origins;
use scan::Policy;

/// Makes the tree. What has to be made for it on this machine, and not only listed, is below
/// `work`, which must outlive the tree's use.
///
/// # Errors
/// If a path of the closure is missing, `nixos-install` fails, something in `contents` can't be
/// grafted, or anything can't be read.
pub(crate) fn tree(spec: &Spec, work: &Path, log: &Log) -> Result<Tree> {
    log.step("looking for the paths of the closure", || {
        store::check(&spec.closure)
    })?;
    let time = Timestamp::from_seconds(spec.identity.time);
    let mut tree = Tree::new(Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    });
    let (store, origins) = match &spec.system {
        System::StoreOnly => (InodeId::ROOT, Origins::none()),
        System::Installed(installation) => {
            installed(&mut tree, spec, installation, work, log, time)?
        }
    };
    let what = format!("listing the {} paths of the closure", spec.closure.len());
    log.step(&what, || {
        closure::list(&mut tree, &spec.closure, store, &origins)
    })?;
    if let (System::Installed(installation), None) = (&spec.system, &spec.guest) {
        // Last, as everything below a target changes hands with it; a guest comes even before.
        graft::owners(&mut tree, &installation.contents, &[])?;
    }
    Ok(tree)
}

/// Everything but the closure; returns the directory of the store, and what `contents` put where.
fn installed<'a>(
    tree: &mut Tree,
    spec: &Spec,
    installation: &'a Installation,
    work: &Path,
    log: &Log,
    time: Timestamp,
) -> Result<(InodeId, Origins<'a>)> {
    // In nixpkgs, nixos-install runs where the contents are already.
    let mut origins = Origins::none();
    if !installation.contents.is_empty() {
        let what = format!("listing the {} contents", installation.contents.len());
        origins = log.step(&what, || {
            graft::contents(tree, &installation.contents, &spec.store_dir, time)
        })?;
        conflicts::refuse_database(tree, &origins)?;
        for sentence in conflicts::hidden_by_mounts(tree, &origins, spec.table) {
            log::warn!("{sentence}");
        }
    }
    let what = format!(
        "registering {} paths and running nixos-install",
        spec.closure.len()
    );
    let root = log.step(&what, || {
        store::install(
            installation,
            &spec.closure,
            &spec.tools,
            work,
            spec.identity.time,
        )
    })?;
    merge::installed(tree, scan::root(&root, Policy::made_now(time))?)?;
    graft::configuration(tree, installation.config_file.as_deref(), time)?;
    let made = Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    };
    for (_, fat) in spec.table.scheme().fat_partitions() {
        let path = fat.mount_point;
        make_directories(tree, Path::new(path), &made)
            .with_context(|| format!("making the mount point {path} in the image"))?;
    }
    let store = make_directories(tree, &spec.store_dir, &made);
    Ok((store.context("making the store in the image")?, origins))
}
