//! The guest stage among the steps: a disk to boot, the guest, and what it changed put into the tree.

mod backup_loader;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::guest::{self, Outcome};
use crate::image::LazyImage;
use crate::installed::Installed;
use crate::layout::Layout;
use crate::progress::Log;
use crate::scheme::Role;
use crate::spec::{Architecture, DiskSize, Guest, Spec, System};
use crate::stage::graft;
use crate::tree::{Timestamp, Tree};
use crate::{assemble, escape, plan};

/// What an automatic size leaves free for the guest to work in, in bytes: the image is planned again
/// afterwards, and what is free takes no room.
const ROOM: u64 = 4 << 30;

/// Runs the guest on a disk with `tree`. Returns the tree with what the guest changed, owners of
/// `contents` included, and the rest of what it installed.
///
/// # Errors
/// If the disk can't be made, or the guest fails.
pub fn run(
    spec: &Spec,
    guest: &Guest,
    tree: Arc<Tree>,
    work: &Path,
    log: &Log,
) -> Result<(Arc<Tree>, Installed)> {
    let path = work.join("guest-disk");
    let (layout, disk) = log.step("planning the disk that the guest boots", || {
        let disk = plan::disk(&roomy(spec), &tree, work)?;
        let layout = disk.layout.clone();
        let none = Installed::default();
        let image = assemble::image(spec, disk, &none, work)?;
        Ok((layout, LazyImage::new(image, &path)?))
    })?;
    let outcome = log.step("running the guest", || {
        guest::run(spec, guest, &tree, &layout, &disk, work)
    })?;
    // It holds the tree, which would have to be copied to be changed.
    drop(disk);
    fs::remove_file(&path).with_context(|| format!("removing {}", escape::path(&path)))?;
    let (tree, installed) = log.step("putting what the guest changed into the image", || {
        merge(spec, &layout, tree, outcome)
    })?;
    // With EFI variables, the machine that they are given to is told where its boot loader is.
    if guest.tasks.boot_loader.is_some() && guest.machine.qemu.firmware.is_none() {
        warn_of_missing_loader(spec, guest.machine.architecture, &layout, &installed);
    }
    Ok((tree, installed))
}

fn warn_of_missing_loader(
    spec: &Spec,
    architecture: Architecture,
    layout: &Layout,
    installed: &Installed,
) {
    let bios = spec.table.scheme().bios;
    let missing = layout
        .partition(Role::Esp)
        .and_then(|esp| installed.boot.get(&esp.number))
        .and_then(|esp| backup_loader::missing(bios, esp, architecture));
    if let Some(warning) = missing {
        log::warn!("{warning}");
    }
}

fn merge(
    spec: &Spec,
    layout: &Layout,
    mut tree: Arc<Tree>,
    outcome: Outcome,
) -> Result<(Arc<Tree>, Installed)> {
    let time = Timestamp::from_seconds(spec.identity.time);
    let report = outcome.report;
    debug_assert_eq!(
        Arc::strong_count(&tree),
        1,
        "the tree is about to be copied"
    );
    let merged = Arc::make_mut(&mut tree);
    guest::root(merged, &report, &spec.store_dir, time)?;
    if let System::Installed(installation) = &spec.system {
        graft::owners(merged, &installation.contents, &report.owners)?;
    }
    let mut boot = BTreeMap::new();
    for partition in &layout.partitions {
        if partition.scheme.fat().is_some() {
            let number = partition.number;
            boot.insert(number, guest::boot(&report, number, time)?);
        }
    }
    let installed = Installed {
        boot,
        areas: report.areas,
        efi_variables: outcome.efi_variables,
    };
    Ok((tree, installed))
}

/// The order for the disk that the guest boots.
fn roomy(spec: &Spec) -> Spec {
    let size = match spec.size {
        DiskSize::Auto { additional_space } => DiskSize::Auto {
            additional_space: additional_space.saturating_add(ROOM),
        },
        fixed => fixed,
    };
    Spec {
        size,
        ..spec.clone()
    }
}
