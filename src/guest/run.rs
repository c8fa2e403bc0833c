//! One run of the guest, from job to report.

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use uuid::Uuid;

use super::backend::{Timeouts, attempts};
use super::job::{self, BootPartition, Job};
use super::machine::Run;
use super::merge;
use super::report::{self, Limits, Report};

use crate::code::{Code, WithCode};
use crate::escape;
use crate::image::LazyImage;
use crate::layout::{self, Layout};
use crate::spec::{Guest, MachineKind, Spec};
use crate::tree::Tree;

/// The result of a run.
pub struct Outcome {
    /// The guest's report.
    pub report: Report,
    /// File with the EFI variables as the guest left them.
    pub efi_variables: Option<PathBuf>,
}

/// Boots `disk` (the disk of `spec`, with `layout` and `tree`) on the machine of `guest`, and does the
/// guest's tasks there. Files from the report are stored in `work`.
///
/// # Errors
/// If the machine cannot be started, or the guest ends early, takes too long or fails. The error contains
/// the end of its console output, and advice.
pub fn run(
    spec: &Spec,
    guest: &Guest,
    tree: &Tree,
    layout: &Layout,
    disk: &Arc<LazyImage>,
    work: &Path,
) -> Result<Outcome> {
    let machine = &guest.machine;
    if machine.architecture.name() != ARCH {
        return Err(Code::GuestMachine.error(format!(
            "the image's system is for {}, and its guest needs a builder of that architecture; this \
             one is {ARCH}: build it there, or set installBootLoader = false and use numeric owners",
            machine.architecture.name()
        )));
    }
    let directory = work.join("guest");
    fs::create_dir(&directory).with_context(|| format!("creating {}", escape::path(&directory)))?;
    let job = job(spec, guest, layout);
    let run = Run {
        machine,
        job: &job,
        disk,
        init: Path::new("/proc/self/exe"),
        directory: &directory,
    };
    let candidates = MachineKind::candidates(&run).code(Code::GuestMachine)?;
    let efi_variables = attempts(&run, &candidates, Timeouts::USUAL)?;
    let limits = Limits {
        job: &job,
        gone: merge::length_of_paths(tree, &spec.store_dir),
        data: layout.disk_length,
    };
    let path = run.report();
    let file = File::open(&path).context("opening the guest's report")?;
    let file = BufReader::with_capacity(1 << 20, file);
    let report = report::read(file, &directory, &limits).code(Code::GuestReport)?;
    layout::check_boot_code(&report.areas, spec.root.kind.boot_code()).code(Code::BootCode)?;
    fs::remove_file(&path).context("removing the guest's report")?;
    Ok(Outcome {
        report,
        efi_variables,
    })
}

/// Returns the guest's job.
fn job(spec: &Spec, guest: &Guest, layout: &Layout) -> Job {
    let device = |number: u32| match number {
        0 => job::DISK.to_owned(),
        number => format!("{}{number}", job::DISK),
    };
    let boot = layout.partitions.iter().filter_map(|partition| {
        Some(BootPartition {
            number: partition.number,
            device: device(partition.number),
            target: partition.scheme.fat()?.mount_point.to_owned(),
        })
    });
    let boot_loader = guest.tasks.boot_loader.as_ref();
    Job {
        // Random, but it does not get into the image.
        token: Uuid::new_v4().simple().to_string(),
        time: spec.identity.time,
        root: device(layout.root().map_or(0, |root| root.number)),
        root_type: spec.root.kind.for_guest().name().to_owned(),
        boot: boot.collect(),
        store: spec.store_dir.to_string_lossy().into_owned(),
        links: boot_loader.map_or(Vec::new(), |loader| loader.devices.clone()),
        efi_variables: guest.machine.qemu.firmware.is_some(),
        boot_loader: boot_loader.is_some(),
        owners: guest.tasks.owners.clone(),
        areas: layout::areas(layout, spec.root.kind.boot_code()),
    }
}
