//! QEMU run until the guest in it has ended, with one accelerator after the other.

use std::fs::{self, File};
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::accelerate::Accelerator;
use super::{arguments, monitor, nbd};
use crate::guest::console::{Console, End};
use crate::guest::judge::judge;
use crate::guest::room;
use crate::image::LazyImage;
use crate::process::Watched;
use crate::spec::Guest;
use crate::{escape, sys};

/// How long a guest that has ended may take to go away.
pub(in crate::guest) const GRACE: Duration = Duration::from_secs(10);

/// How much of QEMU's messages is kept, in bytes.
const TAIL: usize = 2048;

/// How long the end of QEMU's messages may take when QEMU is gone.
const LEFTOVERS: Duration = Duration::from_secs(2);

/// The files of a run, and how to make those that every attempt needs anew.
pub(in crate::guest) struct Files<'a> {
    pub directory: PathBuf,
    pub initrd: PathBuf,
    /// What only init knows beside us.
    pub token: String,
    pub disk: &'a LazyImage,
    pub report: PathBuf,
    pub report_length: u64,
    /// Where the guest's clock starts, in seconds since 1970.
    pub time: i64,
    /// Where they come from, and the copy that the firmware changes.
    pub efi_variables: Option<(PathBuf, PathBuf)>,
}

/// Tries one accelerator after the other, until a guest runs.
pub(in crate::guest) fn attempts(
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
        let run = attempt(guest, files, *accelerator, first)?;
        let ran = run.console.started() || run.served.is_err() || run.unwritable.is_some();
        if ran || others.is_empty() {
            return judge(guest, &run);
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
pub(in crate::guest) struct Ended {
    pub console: Console,
    pub end: End,
    /// What QEMU itself said.
    pub said: String,
    pub time: Duration,
    /// The error of those who gave it its disk.
    pub served: Result<()>,
    /// Why what it wrote could not be stored, if it could not.
    pub unwritable: Option<Unwritable>,
}

/// Why a directory did not take what a guest wrote.
#[derive(Debug, Clone)]
pub(in crate::guest) struct Unwritable {
    pub directory: PathBuf,
    /// What QEMU says of it.
    pub reason: String,
    /// Bytes that were free when the guest began, and when it could not go on.
    pub free: (Option<u64>, Option<u64>),
    /// The most bytes that a guest with these disks can take.
    pub needed: u64,
}

fn attempt(
    guest: &Guest,
    files: &Files<'_>,
    accelerator: Accelerator,
    first: Duration,
) -> Result<Ended> {
    let pair = || UnixStream::pair().context("making a socket for QEMU");
    // Each attempt has connections of its own: they end with its QEMU.
    let ((disk, disk_end), (monitor, monitor_end)) = (pair()?, pair()?);
    let (reader, writer) = std::io::pipe().context("making a pipe for the guest's console")?;
    let (errors, errors_end) = std::io::pipe().context("making a pipe for QEMU's messages")?;
    let mut command = Command::new(&guest.qemu);
    let qemu_files = arguments::Files {
        initrd: &files.initrd,
        report: &files.report,
        efi_variables: files.efi_variables.as_ref().map(|(_, to)| to.as_path()),
        temporary: &files.directory,
        time: files.time,
        monitor: sys::inherit(&mut command, OwnedFd::from(monitor_end)),
    };
    arguments::arguments(&mut command, guest, &qemu_files, accelerator);
    command
        .stdin(Stdio::from(OwnedFd::from(disk_end)))
        .stdout(Stdio::from(writer))
        .stderr(Stdio::from(errors_end));
    let said = end_of(errors);
    let begin = Instant::now();
    let mut console = Console::new(reader, &files.token);
    let stop = console.stop();
    let unwritable = Mutex::new(None);
    let before = room::free(&files.directory);
    let failed = |reason| {
        let found = Unwritable {
            directory: files.directory.clone(),
            reason,
            // What QEMU took is free again when it has ended.
            free: (before, room::free(&files.directory)),
            needed: files.disk.length().saturating_mul(2),
        };
        *unwritable.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        stop.stop();
    };
    let (end, served) = thread::scope(|scope| {
        let server = scope.spawn(|| nbd::serve(files.disk, &disk, || stop.stop()));
        scope.spawn(|| monitor::watch(&monitor, failed));
        let end = follow(command, &mut console, first, guest.timeout);
        // QEMU is gone, but what it may have left must not keep those who wait for it.
        let _ = disk.shutdown(Shutdown::Both);
        let _ = monitor.shutdown(Shutdown::Both);
        (end, server.join())
    });
    let end = end?;
    console.finish();
    let served = served.unwrap_or_else(|_| Err(anyhow!("the guest's disk can't be served")));
    Ok(Ended {
        console,
        end,
        // Something that QEMU started may have it, and go on.
        said: lines(&said.recv_timeout(LEFTOVERS).unwrap_or_default()),
        time: begin.elapsed(),
        served,
        unwritable: unwritable
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner),
    })
}

/// The end of what `stream` has, when it ends.
fn end_of(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody may want it any more.
        let _ = sender.send(tail(&mut stream));
    });
    receiver
}

/// The last [`TAIL`] bytes of `stream`.
fn tail(stream: &mut impl Read) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut buffer = [0; TAIL];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        tail.extend_from_slice(&buffer[..length]);
        tail.drain(..tail.len().saturating_sub(TAIL));
    }
    tail
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
