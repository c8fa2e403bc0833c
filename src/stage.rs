//! From a [`Spec`] to the [`Tree`] of its root file system.

mod closure;
mod conflicts;
pub mod graft;
mod merge;
pub mod scan;

use std::path::Path;

use anyhow::{Context, Result};

use crate::code::{Code, WithCode};
use crate::progress::Log;
use crate::spec::{Installation, Spec, System};
use crate::store;
use crate::tree::place::make_directories;
use crate::tree::{InodeId, Metadata, Timestamp, Tree};

use graft::Origins;
use scan::Policy;

/// Builds the tree. Files that have to be created for it are placed below `work`, which must exist
/// for as long as the tree is used.
///
/// # Errors
/// If a path of the closure is missing, `nixos-install` fails, an entry of `contents` cannot be
/// grafted, or a file cannot be read.
pub(crate) fn tree(spec: &Spec, work: &Path, log: &Log) -> Result<Tree> {
    log.step("checking the paths of the closure", || {
        store::check(&spec.closure)
    })
    .code(Code::Closure)?;
    let time = Timestamp::from_seconds(spec.identity.time);
    let mut tree = Tree::new(Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    });
    let (store, origins) = match &spec.system {
        System::StoreOnly => (InodeId::ROOT, Origins::empty()),
        System::Installed(installation) => {
            installed(&mut tree, spec, installation, work, log, time)?
        }
    };
    let step = format!("listing the {} paths of the closure", spec.closure.len());
    log.step(&step, || {
        closure::list(&mut tree, &spec.closure, store, &origins)
    })?;
    if let (System::Installed(installation), None) = (&spec.system, &spec.guest) {
        // Last, because everything below a target changes its owner, too. With a guest, this
        // happens after it has run.
        graft::owners(&mut tree, &installation.contents, &[]).code(Code::Contents)?;
    }
    Ok(tree)
}

/// Adds everything except the closure. Returns the store directory and the origins of the files
/// from `contents`.
fn installed<'a>(
    tree: &mut Tree,
    spec: &Spec,
    installation: &'a Installation,
    work: &Path,
    log: &Log,
    time: Timestamp,
) -> Result<(InodeId, Origins<'a>)> {
    // As in nixpkgs, where nixos-install runs after the contents have been copied.
    let mut origins = Origins::empty();
    if !installation.contents.is_empty() {
        let step = format!(
            "listing the {} entries of contents",
            installation.contents.len()
        );
        origins = log
            .step(&step, || {
                graft::contents(tree, &installation.contents, &spec.store_dir, time)
            })
            .code(Code::Contents)?;
        conflicts::reject_database(tree, &origins).code(Code::Contents)?;
        for warning in conflicts::hidden_by_mounts(tree, &origins, spec.table) {
            log::warn!("{warning}");
        }
    }
    let step = format!(
        "registering {} paths and running nixos-install",
        spec.closure.len()
    );
    let root = log
        .step(&step, || {
            store::install(
                installation,
                &spec.closure,
                &spec.tools,
                work,
                spec.identity.time,
            )
        })
        .code(Code::Install)?;
    merge::installed(tree, scan::root(&root, Policy::freshly_written(time))?)
        .code(Code::Contents)?;
    let config_file = installation.config_file.as_deref();
    graft::configuration(tree, config_file, time).code(Code::Contents)?;
    let metadata = Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    };
    for (_, fat) in spec.table.scheme().fat_partitions() {
        let path = fat.mount_point;
        make_directories(tree, Path::new(path), &metadata)
            .with_context(|| format!("creating the mount point {path} in the image"))
            .code(Code::Contents)?;
    }
    let store = make_directories(tree, &spec.store_dir, &metadata);
    let store = store.context("creating the store in the image");
    Ok((store.code(Code::Contents)?, origins))
}
