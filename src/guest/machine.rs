//! A machine that runs a guest: what it needs and what it provides, for any backend.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::job::{EARLIEST, Job};
use super::vhost::Disk;
use crate::escape;
use crate::image::LazyImage;
use crate::spec::Machine;

/// The name of the socket at which the disk of the guest is served ([`Run::directory`]).
pub const DISK: &str = "disk.socket";

/// The name of the socket at which the report's disk is served.
pub const REPORT: &str = "report.socket";

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
    pub disk: &'a Arc<LazyImage>,
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

    /// Returns the disk of the guest, without the writes of an earlier one.
    ///
    /// # Errors
    /// If the file for its writes cannot be created.
    pub fn make_disk(&self) -> Result<Disk> {
        // A file without a name: its space is free as soon as the guest has ended.
        let file = tempfile::tempfile_in(self.directory)
            .and_then(|file| file.set_len(self.disk.length()).map(|()| file))
            .with_context(|| format!("creating a file in {}", escape::path(self.directory)))?;
        Ok(Disk::overlay(self.disk.clone(), file))
    }

    /// Returns the report's disk, without the report of an earlier guest.
    ///
    /// # Errors
    /// If its file cannot be created.
    pub fn make_report(&self) -> Result<Disk> {
        let length = self.disk.length().saturating_mul(2);
        let length = length.saturating_add(REPORT_BASE);
        let path = self.report();
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options
            .open(&path)
            .and_then(|file| file.set_len(length).map(|()| file))
            .with_context(|| format!("creating {}", escape::path(&path)))?;
        Ok(Disk::raw(file, length))
    }
}

/// A machine that is ready to be started. It finds the sockets of its disks, [`DISK`] and [`REPORT`],
/// in its working directory.
pub struct Ready {
    /// The name of its program in messages.
    pub name: &'static str,
    /// The program, which ends when the machine powers off. Standard output is the guest's console, and
    /// standard error is for the program's own messages. The caller sets both, and the working
    /// directory.
    pub command: Command,
    /// File with its EFI variables, if it has any.
    pub efi_variables: Option<PathBuf>,
}
