//! The guest stage of a build: plans a disk to boot, runs the guest on it, and merges the guest's
//! changes into the tree.

mod backup_loader;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::code::{Code, WithCode};
use crate::guest::{self, Outcome};
use crate::image::LazyImage;
use crate::installed::Installed;
use crate::layout::Layout;
use crate::progress::{Length, Log};
use crate::scheme::Role;
use crate::spec::{Architecture, DiskSize, Guest, RootFileSystem, Spec, System};
use crate::stage::graft;
use crate::tree::{Timestamp, Tree};
use crate::{assemble, escape, plan};

/// Bytes that an automatic size adds as free space for the guest. They cost nothing: free space on the
/// guest's disk is not stored, and the image is planned again afterwards.
const WORK_SPACE: u64 = 4 << 30;

/// Runs the guest on a disk with `tree`. Returns the tree with the guest's changes and the owners of
/// `contents`, and what the guest installed outside the root file system.
///
/// # Errors
/// If the disk cannot be created or the guest fails.
pub(crate) fn run(
    spec: &Spec,
    guest: &Guest,
    tree: Arc<Tree>,
    work: &Path,
    log: &Log,
) -> Result<(Arc<Tree>, Installed)> {
    let path = work.join("guest-disk");
    let (layout, disk) = log.step("planning the guest's disk", || {
        let disk = plan::disk(&for_guest(spec), &tree, work)?;
        let layout = disk.layout.clone();
        let installed = Installed::default();
        let image = assemble::image(spec, disk, &installed, work)?;
        Ok((layout, Arc::new(LazyImage::new(image, &path)?)))
    })?;
    let limit = Length::AtMost(guest.machine.timeout);
    let outcome = log
        .step_with("running the guest", limit, || {
            guest::run(spec, guest, &tree, &layout, &disk, work)
        })
        .code(Code::Guest)?;
    // The disk shares the tree: while it exists, a change would copy the tree.
    drop(disk);
    fs::remove_file(&path).with_context(|| format!("removing {}", escape::path(&path)))?;
    let (tree, installed) = log
        .step("merging the guest's changes into the image", || {
            merge(spec, &layout, tree, outcome)
        })
        .code(Code::GuestReport)?;
    // With EFI firmware in the guest, its variables (efi-vars.fd) name the boot loader.
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
        graft::owners(merged, &installation.contents, &report.owners).code(Code::Contents)?;
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

/// Returns `spec` with the root file system of the guest's disk, and with the work space of the guest
/// added to an automatic size.
fn for_guest(spec: &Spec) -> Spec {
    let kind = spec.root.kind.for_guest();
    let size = match spec.size {
        DiskSize::Auto { additional_space } => DiskSize::Auto {
            additional_space: additional_space.saturating_add(WORK_SPACE),
        },
        // The size need not be sufficient for another kind, or for contents that are not compressed.
        DiskSize::Fixed { .. } if kind != spec.root.kind => DiskSize::Auto {
            additional_space: WORK_SPACE,
        },
        fixed => fixed,
    };
    let root = RootFileSystem {
        kind,
        ..spec.root.clone()
    };
    Spec {
        size,
        root,
        ..spec.clone()
    }
}
