//! From a [`Spec`] to the [`Tree`] of its root file system.

use std::path::Path;

use anyhow::{Context, Result};

use crate::progress::Log;
use crate::spec::{Installation, PartitionTable, Spec, System};
use crate::store;
use crate::tree::place::make_directories;
use crate::tree::scan::{self, Policy, Source};
use crate::tree::{InodeId, Metadata, Timestamp, Tree, graft, merge};

/// Makes the tree. What has to be made for it on this machine, and not only listed, is below
/// `work`, which must outlive the tree's use.
///
/// # Errors
/// If a path of the closure is missing, `nixos-install` fails, something in `contents` can't be
/// grafted, or anything can't be read.
pub fn tree(spec: &Spec, work: &Path, log: &Log) -> Result<Tree> {
    log.step("looking for the paths of the closure", || {
        store::check(&spec.closure)
    })?;
    let time = Timestamp::from_seconds(spec.identity.time);
    let mut tree = Tree::new(Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    });
    let parent = match &spec.system {
        System::StoreOnly => InodeId::ROOT,
        System::Installed(installation) => {
            installed(&mut tree, spec, installation, work, log, time)?
        }
    };
    let what = format!("listing the {} paths of the closure", spec.closure.len());
    log.step(&what, || closure(&mut tree, spec, parent))?;
    if let (System::Installed(installation), None) = (&spec.system, &spec.guest) {
        // Last, as everything below a target changes hands with it; a guest comes even before.
        graft::owners(&mut tree, &installation.contents, &[])?;
    }
    Ok(tree)
}

/// Everything but the closure; returns the directory of the store.
fn installed(
    tree: &mut Tree,
    spec: &Spec,
    installation: &Installation,
    work: &Path,
    log: &Log,
    time: Timestamp,
) -> Result<InodeId> {
    // In nixpkgs, nixos-install runs where the contents are already.
    if !installation.contents.is_empty() {
        let what = format!("listing the {} contents", installation.contents.len());
        log.step(&what, || {
            graft::contents(tree, &installation.contents, &spec.store_dir, time)
        })?;
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
    for path in mount_points(spec.table) {
        make_directories(tree, Path::new(path), &made)
            .with_context(|| format!("making the mount point {path} in the image"))?;
    }
    make_directories(tree, &spec.store_dir, &made).context("making the store in the image")
}

/// Where nixpkgs mounts the boot partitions of each layout.
fn mount_points(table: PartitionTable) -> &'static [&'static str] {
    match table {
        PartitionTable::None | PartitionTable::Legacy | PartitionTable::LegacyGpt => &[],
        PartitionTable::LegacyBoot | PartitionTable::Efi | PartitionTable::Hybrid => &["/boot"],
        PartitionTable::EfiXbootldr => &["/boot", "/efi"],
    }
}

fn closure(tree: &mut Tree, spec: &Spec, parent: InodeId) -> Result<()> {
    let sources: Vec<Source> = spec
        .closure
        .iter()
        .map(|info| Source {
            path: info.path.as_str().into(),
            parent,
            name: info.path.base_name().as_bytes().to_vec(),
        })
        .collect();
    scan::entries(tree, &sources, Policy::CLOSURE).context("listing the closure")
}
