//! One run of the guest, from job to report.

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

use super::job::{BootPartition, EARLIEST, Job};
use super::qemu::accelerate;
use super::qemu::attempt::{Files, attempts};
use super::report::{self, Limits, Report};
use super::{initrd, merge};
use crate::escape;
use crate::image::LazyImage;
use crate::layout::{self, Layout};
use crate::owner::Names;
use crate::spec::{Guest, Owner, Spec, System};
use crate::tree::Tree;

/// The disk of the report is as long as this and twice the disk; it is sparse.
const REPORT_BASE: u64 = 1 << 30;

/// What a run leaves.
pub struct Outcome {
    /// What the guest sent.
    pub report: Report,
    /// The EFI variables as the guest left them.
    pub efi_variables: Option<PathBuf>,
}

/// Boots `disk`, which has `layout` and holds `tree`, and does what `spec` wants done in a guest.
/// Files of the report are put into `work`.
///
/// # Errors
/// If QEMU can't be started, the guest ends early, takes too long or fails: with the end of its
/// console, and what to change.
pub fn run(
    spec: &Spec,
    guest: &Guest,
    tree: &Tree,
    layout: &Layout,
    disk: &LazyImage,
    work: &Path,
) -> Result<Outcome> {
    ensure!(
        guest.architecture.name() == ARCH,
        "the image's system is for {}, and its guest can only run on a builder of that kind; this \
         one is {ARCH}: build it there, or set installBootLoader = false and use numbers as owners",
        guest.architecture.name()
    );
    let job = job(spec, guest, layout);
    let limits = Limits {
        job: &job,
        gone: merge::length_of_paths(tree, &spec.store_dir),
        data: layout.disk_length,
    };
    let directory = work.join("guest");
    fs::create_dir(&directory).with_context(|| format!("making {}", escape::path(&directory)))?;
    let files = Files {
        directory: directory.clone(),
        initrd: directory.join("initrd"),
        token: job.token.clone(),
        disk,
        report: directory.join("report"),
        efi_variables: match (&guest.firmware, &spec.output.efi_variables) {
            (Some(_), Some(from)) => Some((from.clone(), directory.join("efi-vars.fd"))),
            _ => None,
        },
        report_length: layout
            .disk_length
            .saturating_mul(2)
            .saturating_add(REPORT_BASE),
        time: job.time.max(EARLIEST),
    };
    initrd::write(&job, &guest.modules, &files.initrd)?;
    attempts(
        guest,
        &files,
        accelerate::candidates(),
        accelerate::KVM_PATIENCE,
    )?;
    let file = File::open(&files.report).context("opening the guest's report")?;
    let report = report::read(BufReader::with_capacity(1 << 20, file), &directory, &limits)?;
    layout::check_boot_code(&report.areas)?;
    fs::remove_file(&files.report).context("removing the guest's report")?;
    Ok(Outcome {
        report,
        efi_variables: files.efi_variables.map(|(_, variables)| variables),
    })
}

/// What the guest is told.
fn job(spec: &Spec, guest: &Guest, layout: &Layout) -> Job {
    let device = |number: u32| match number {
        0 => "/dev/vda".to_owned(),
        number => format!("/dev/vda{number}"),
    };
    let boot = layout.partitions.iter().filter_map(|partition| {
        Some(BootPartition {
            number: partition.number,
            device: device(partition.number),
            target: partition.scheme.fat()?.mount_point.to_owned(),
        })
    });
    Job {
        // Nothing of it comes into the image.
        token: Uuid::new_v4().simple().to_string(),
        time: spec.identity.time,
        root: device(layout.root().map_or(0, |root| root.number)),
        boot: boot.collect(),
        store: spec.store_dir.to_string_lossy().into_owned(),
        links: guest.devices.clone(),
        efi_variables: guest.firmware.is_some(),
        boot_loader: guest.boot_loader,
        owners: names(&spec.system),
        areas: layout::areas(layout),
    }
}

/// The owners of `contents` that are names, in their order.
fn names(system: &System) -> Vec<Names> {
    let System::Installed(installation) = system else {
        return Vec::new();
    };
    let owners = installation
        .contents
        .iter()
        .filter_map(|graft| graft.owner.clone());
    owners
        .filter_map(|owner| match owner {
            Owner::Names(names) => Some(names),
            Owner::Ids(_) => None,
        })
        .collect()
}
