//! A machine that runs a guest: what it needs and what it provides, for any backend.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use super::console::Stop;
use super::job::{EARLIEST, Job};
use super::room;
use crate::escape;
use crate::image::LazyImage;
use crate::spec::Machine;

/// The report's disk has this many bytes more than twice the length of the guest's disk; it is sparse.
const REPORT_BASE: u64 = 1 << 30;

/// The input of a run, for any backend.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The requested machine.
    pub machine: &'a Machine,
    /// The guest's job.
    pub job: &'a Job,
    /// The disk that the guest boots.
    pub disk: &'a LazyImage,
    /// The guest's `/init`: this program.
    pub init: &'a Path,
    /// The directory for all files of the run.
    pub directory: &'a Path,
}

impl Run<'_> {
    /// Returns the path of the report's disk.
    pub fn report(&self) -> PathBuf {
        self.directory.join("report")
    }

    /// Returns the start of the guest's clock, in seconds since 1970.
    pub fn time(&self) -> i64 {
        self.job.time.max(EARLIEST)
    }

    /// Creates the report's disk, or empties it after an earlier guest.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn make_report(&self) -> Result<()> {
        let path = self.report();
        let length = self.disk.length().saturating_mul(2);
        let length = length.saturating_add(REPORT_BASE);
        File::create(&path)
            .and_then(|file| file.set_len(length))
            .with_context(|| format!("creating {}", escape::path(&path)))
    }
}

/// A machine that is ready to be started.
pub struct Ready<'a> {
    /// The name of its program in messages.
    pub name: &'static str,
    /// The program, which ends when the machine powers off. Standard output is the guest's console, and
    /// standard error is for the program's own messages. The caller sets both.
    pub command: Command,
    /// What must run along with it.
    pub services: Vec<Service<'a>>,
    /// File with its EFI variables, if it has any.
    pub efi_variables: Option<PathBuf>,
}

/// Something that a machine needs from this process while it runs.
pub struct Service<'a> {
    /// The connection to the machine. It is shut down when the machine has ended.
    pub socket: UnixStream,
    /// Serves until the socket is closed or shut down. An error says why the guest could not continue;
    /// [`Halt::stop`] was called before.
    pub serve: Box<Serve<'a>>,
}

type Serve<'a> = dyn FnOnce(&UnixStream, &Halt<'_>) -> Result<()> + Send + 'a;

/// Lets a [`Service`] stop a guest that cannot continue.
pub struct Halt<'a> {
    stop: Stop,
    run: Run<'a>,
    /// Bytes that were free at the start.
    free: Option<u64>,
    unwritable: Mutex<Option<Unwritable>>,
}

impl<'a> Halt<'a> {
    /// Returns a handle for a guest that is about to start and that `stop` stops.
    pub fn new(stop: Stop, run: &Run<'a>) -> Halt<'a> {
        Halt {
            stop,
            run: *run,
            free: room::free(run.directory),
            unwritable: Mutex::new(None),
        }
    }

    /// Stops the guest. The service's error says why.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Stops the guest, because its writes cannot be stored, for `reason`.
    pub fn unwritable(&self, reason: String) {
        let found = Unwritable {
            directory: self.run.directory.to_owned(),
            reason,
            // Measured here: when the machine has ended, its files take no space any more.
            free: (self.free, room::free(self.run.directory)),
            needed: self.run.disk.length().saturating_mul(2),
        };
        *self
            .unwritable
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(found);
        self.stop();
    }

    /// Returns why the guest's writes could not be stored, if [`Halt::unwritable`] was called.
    pub fn into_unwritable(self) -> Option<Unwritable> {
        let unwritable = self.unwritable.into_inner();
        unwritable.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a guest's writes could not be stored.
#[derive(Debug, Clone)]
pub struct Unwritable {
    /// The directory.
    pub directory: PathBuf,
    /// The reason, as reported by the machine.
    pub reason: String,
    /// Bytes that were free when the guest started, and when the write failed.
    pub free: (Option<u64>, Option<u64>),
    /// The most bytes that a guest with these disks can write.
    pub needed: u64,
}
