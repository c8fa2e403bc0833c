//! One run of the guest, from job to report.

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::accelerate::{self, Accelerator};
use super::console::{Console, End};
use super::job::{BootPartition, Job};
use super::report::{self, Report};
use super::{areas, disk, initrd, qemu};
use crate::escape;
use crate::image::LazyImage;
use crate::layout::{Layout, Role};
use crate::owner::Names;
use crate::process::Watched;
use crate::spec::{Guest, Owner, PartitionTable, Spec, System};

/// The disk of the report is as long as this and twice the disk; it is sparse.
const REPORT_BASE: u64 = 1 << 30;

/// How long a guest that has ended may take to go away.
const GRACE: Duration = Duration::from_secs(10);

/// Memory with which a guest without further needs is known to work, in MiB.
const USUAL_MEMORY: u64 = 1024;

/// What a run leaves.
pub struct Outcome {
    /// What the guest sent.
    pub report: Report,
    /// The EFI variables as the guest left them.
    pub efi_variables: Option<PathBuf>,
}

/// Boots `disk`, which has `layout`, and does what `spec` wants done in a
/// guest. Files of the report are put into `work`.
///
/// # Errors
/// If QEMU can't be started, the guest ends early, takes too long or fails: with the end of its
/// console, and what to change.
pub fn run(
    spec: &Spec,
    guest: &Guest,
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
    let directory = work.join("guest");
    fs::create_dir(&directory).with_context(|| format!("making {}", escape::path(&directory)))?;
    let files = Files {
        directory: directory.clone(),
        initrd: directory.join("initrd"),
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
    };
    initrd::write(&job, &guest.modules, &files.initrd)?;
    attempts(
        guest,
        &files,
        accelerate::candidates(),
        accelerate::KVM_PATIENCE,
    )?;
    let file = File::open(&files.report).context("opening the guest's report")?;
    let report = report::read(BufReader::with_capacity(1 << 20, file), &directory)?;
    areas::check(&report.areas)?;
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
    let two = spec.table == PartitionTable::EfiXbootldr;
    let boot = layout.partitions.iter().filter_map(|partition| {
        let target = match partition.role {
            Role::Esp if two => "/efi",
            Role::Esp | Role::Boot => "/boot",
            Role::Root | Role::BiosBoot => return None,
        };
        Some(BootPartition {
            number: partition.number,
            device: device(partition.number),
            target: target.to_owned(),
        })
    });
    Job {
        time: spec.identity.time,
        root: device(layout.root().map_or(0, |root| root.number)),
        boot: boot.collect(),
        store: spec.store_dir.to_string_lossy().into_owned(),
        links: guest.devices.clone(),
        efi_variables: guest.firmware.is_some(),
        boot_loader: guest.boot_loader,
        owners: names(&spec.system),
        areas: areas::of(layout),
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

/// The files of a run, and how to make those that every attempt needs anew.
struct Files<'a> {
    directory: PathBuf,
    initrd: PathBuf,
    disk: &'a LazyImage,
    report: PathBuf,
    report_length: u64,
    /// Where they come from, and the copy that the firmware changes.
    efi_variables: Option<(PathBuf, PathBuf)>,
}

/// Tries one accelerator after the other, until a guest runs.
fn attempts(
    guest: &Guest,
    files: &Files<'_>,
    list: &[Accelerator],
    patience: Duration,
) -> Result<()> {
    let mut rest = list;
    while let Some((accelerator, others)) = rest.split_first() {
        prepare(files)?;
        let first = match others {
            [] => guest.timeout,
            _ => patience,
        };
        let mut run = attempt(guest, files, *accelerator, first)?;
        if others.is_empty() || run.console.started() || run.served.is_err() {
            return judge(guest, &mut run);
        }
        log::warn!(
            "the guest says nothing under KVM after {} s ({}): starting it again, emulated",
            run.time.as_secs(),
            run.said
                .trim_end()
                .lines()
                .next_back()
                .unwrap_or("QEMU neither")
        );
        rest = others;
    }
    Ok(())
}

fn prepare(files: &Files<'_>) -> Result<()> {
    File::create(&files.report)
        .and_then(|file| file.set_len(files.report_length))
        .with_context(|| format!("making {}", escape::path(&files.report)))?;
    if let Some((from, to)) = &files.efi_variables {
        fs::copy(from, to)
            .and_then(|_| fs::set_permissions(to, fs::Permissions::from_mode(0o600)))
            .with_context(|| format!("copying {} to {}", escape::path(from), escape::path(to)))?;
    }
    Ok(())
}

/// A guest that has ended, or was ended.
struct Ended {
    console: Console,
    end: End,
    /// What QEMU itself said.
    said: String,
    time: Duration,
    /// The error of those who gave it its disk.
    served: Result<()>,
}

fn attempt(
    guest: &Guest,
    files: &Files<'_>,
    accelerator: Accelerator,
    first: Duration,
) -> Result<Ended> {
    let qemu_files = qemu::Files {
        initrd: &files.initrd,
        report: &files.report,
        efi_variables: files.efi_variables.as_ref().map(|(_, to)| to.as_path()),
        temporary: &files.directory,
    };
    let mut command = qemu::command(guest, &qemu_files, accelerator);
    // Each attempt has a connection of its own: one ends with its QEMU.
    let (ours, theirs) = UnixStream::pair().context("making a socket for the guest's disk")?;
    let (reader, writer) = std::io::pipe().context("making a pipe for the guest's console")?;
    let mut errors = tempfile::tempfile().context("making a file for QEMU's messages")?;
    command
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(writer))
        .stderr(errors.try_clone().context("duplicating a file")?);
    let begin = Instant::now();
    let mut console = Console::new(reader);
    let stop = console.stop();
    let (end, served) = thread::scope(|scope| {
        let server = scope.spawn(|| disk::serve(files.disk, &ours, || stop.stop()));
        let end = follow(command, &mut console, first, guest.timeout);
        // QEMU is gone, but what it may have left must not keep the server.
        let _ = ours.shutdown(Shutdown::Both);
        (end, server.join())
    });
    let end = end?;
    let served = served.unwrap_or_else(|_| Err(anyhow!("the guest's disk can't be served")));
    let mut said = Vec::new();
    std::io::Seek::rewind(&mut errors)
        .and_then(|()| errors.read_to_end(&mut said))
        .context("reading QEMU's messages")?;
    Ok(Ended {
        console,
        end,
        said: lines(&said),
        time: begin.elapsed(),
        served,
    })
}

/// Runs QEMU by `command` until the guest has ended, or can't go on, or has no time left.
fn follow(
    mut command: Command,
    console: &mut Console,
    first: Duration,
    limit: Duration,
) -> Result<End> {
    let qemu =
        Watched::start(&mut command).context("starting the guest that installs the boot loader")?;
    // The command holds the other ends, and neither console nor disk would ever be closed.
    drop(command);
    let end = console.follow(first, limit);
    if matches!(end, End::Exit(_)) {
        // It powers off by itself; what it wrote is written.
        console.drain(GRACE);
    }
    drop(qemu);
    Ok(end)
}

fn lines(bytes: &[u8]) -> String {
    let lines = bytes.split(|&byte| byte == b'\n').map(escape::bytes);
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// An error, unless the guest did all that it should.
fn judge(guest: &Guest, run: &mut Ended) -> Result<()> {
    let console = &run.console;
    if let Err(error) = &run.served {
        bail!(
            "{error:#}\nthe guest can't go on without that, and was ended\n{}",
            console.tail()
        );
    }
    let panic = console.after("Kernel panic - ");
    let what = match (run.end, panic) {
        (End::Exit(0), _) => return Ok(()),
        (End::Exit(_), _) => {
            let reason = console.failure.clone();
            format!("the guest failed: {}", reason.unwrap_or_default())
        }
        (End::Closed, Some(reason)) => format!("the guest's kernel panicked ({reason})"),
        (End::Closed, None) => format!(
            "the guest ended after {} s without having finished",
            run.time.as_secs()
        ),
        (End::NotStarted, _) => format!("the guest did not start within {} s", run.time.as_secs()),
        (End::Stopped, _) => "the guest was ended".to_owned(),
        (End::Late, _) => format!(
            "the guest did not finish within {} s, and was ended",
            run.time.as_secs()
        ),
    };
    let qemu = match run.said.as_str() {
        "" => String::new(),
        said => format!("\nQEMU said: {said}"),
    };
    bail!("{what}{}{qemu}\n{}", advice(guest, run), console.tail())
}

/// What to change, where that can be known.
fn advice(guest: &Guest, run: &Ended) -> String {
    let console = &run.console;
    let memory = ["Out of memory", "out of memory", "panic_on_oom", "oom-kill"]
        .iter()
        .any(|sign| console.has(sign));
    // With much too little, there is no word of it, or the initrd is not there.
    let silent = !console.started() && guest.memory < USUAL_MEMORY / 4;
    if memory || silent {
        let more = guest.memory.saturating_mul(2).max(USUAL_MEMORY);
        return format!(
            ": {} MiB of memory were too little: set memSize to at least {more}",
            guest.memory
        );
    }
    if console.has("No space left on device") {
        return ": a file system in the image is full: set a larger diskSize (the root file system) \
                or bootSize (the boot partitions)"
            .to_owned();
    }
    match run.end {
        End::Late | End::NotStarted => ": set guestTimeout to a larger number of seconds if the \
                                        machine is only slow"
            .to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
