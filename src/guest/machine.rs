//! A machine that runs a guest: what it gets, and what it gives to whoever starts it.

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

/// The disk of the report is as long as this and twice the disk, in bytes; it is sparse.
const REPORT_BASE: u64 = 1 << 30;

/// What a guest is run with, whatever the machine.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The machine that the caller wants.
    pub machine: &'a Machine,
    /// What the guest is told.
    pub job: &'a Job,
    /// The disk that it boots.
    pub disk: &'a LazyImage,
    /// Its `/init`: this program.
    pub init: &'a Path,
    /// Where all files of the run are.
    pub directory: &'a Path,
}

impl Run<'_> {
    /// The disk of the report.
    pub fn report(&self) -> PathBuf {
        self.directory.join("report")
    }

    /// Where the guest's clock starts, in seconds since 1970.
    pub fn time(&self) -> i64 {
        self.job.time.max(EARLIEST)
    }

    /// Makes the disk of the report, without what an earlier guest wrote.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn make_report(&self) -> Result<()> {
        let path = self.report();
        let length = self.disk.length().saturating_mul(2);
        let length = length.saturating_add(REPORT_BASE);
        File::create(&path)
            .and_then(|file| file.set_len(length))
            .with_context(|| format!("making {}", escape::path(&path)))
    }
}

/// A machine that only has to be started.
pub struct Ready<'a> {
    /// The name of its program in messages.
    pub name: &'static str,
    /// Starts it, and ends when it is switched off. The guest's console is its standard output, and
    /// its own messages are its standard error: whoever starts it sets both.
    pub command: Command,
    /// What has to go on while it runs.
    pub services: Vec<Service<'a>>,
    /// Where it has the EFI variables, if it has any.
    pub efi_variables: Option<PathBuf>,
}

/// Something that a machine needs from this process while it runs.
pub struct Service<'a> {
    /// The connection with the machine. It is shut down when that is gone.
    pub socket: UnixStream,
    /// Serves until the socket is closed or shut down. An error is why the guest could not go on,
    /// and [`Halt::stop`] has been called before.
    pub serve: Box<Serve<'a>>,
}

type Serve<'a> = dyn FnOnce(&UnixStream, &Halt<'_>) -> Result<()> + Send + 'a;

/// How a [`Service`] says that the guest can't go on.
pub struct Halt<'a> {
    stop: Stop,
    run: Run<'a>,
    /// What was free at the start.
    free: Option<u64>,
    unwritable: Mutex<Option<Unwritable>>,
}

impl<'a> Halt<'a> {
    /// For a guest that is about to start, which `stop` ends.
    pub fn new(stop: Stop, run: &Run<'a>) -> Halt<'a> {
        Halt {
            stop,
            run: *run,
            free: room::free(run.directory),
            unwritable: Mutex::new(None),
        }
    }

    /// Has the guest ended. The service's error says why.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// What the guest writes can't be stored, for `reason`.
    pub fn unwritable(&self, reason: String) {
        let found = Unwritable {
            directory: self.run.directory.to_owned(),
            reason,
            // What the machine took is free again when it has ended.
            free: (self.free, room::free(self.run.directory)),
            needed: self.run.disk.length().saturating_mul(2),
        };
        *self
            .unwritable
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(found);
        self.stop();
    }

    /// What [`Halt::unwritable`] was told, if it was.
    pub fn into_unwritable(self) -> Option<Unwritable> {
        let unwritable = self.unwritable.into_inner();
        unwritable.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a directory did not take what a guest wrote.
#[derive(Debug, Clone)]
pub struct Unwritable {
    /// The directory.
    pub directory: PathBuf,
    /// What the machine says of it.
    pub reason: String,
    /// Bytes that were free when the guest began, and when it could not go on.
    pub free: (Option<u64>, Option<u64>),
    /// The most bytes that a guest with these disks can take.
    pub needed: u64,
}
