//! Why a guest whose disks fail cannot continue.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;

use super::console::Stop;
use super::room;

/// Stops a guest whose disks fail, and remembers why.
pub struct Halt {
    stop: Stop,
    /// The directory with what the guest writes.
    directory: PathBuf,
    /// Bytes that were free there at the start.
    free: Option<u64>,
    /// The most bytes that the guest can write.
    needed: u64,
    failure: Mutex<Option<Failure>>,
}

/// Why a guest could not continue.
pub enum Failure {
    /// A file on its disk could not be read.
    Unreadable(anyhow::Error),
    /// Its writes could not be stored.
    Unwritable(Unwritable),
}

impl Halt {
    /// Returns a handle for a guest that is about to start and that `stop` stops. It writes at most
    /// `needed` bytes to files in `directory`.
    pub fn new(stop: Stop, directory: &Path, needed: u64) -> Halt {
        Halt {
            stop,
            directory: directory.to_owned(),
            free: room::free(directory),
            needed,
            failure: Mutex::default(),
        }
    }

    /// Stops the guest, for a reason that is reported elsewhere.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Stops the guest, because its disk cannot be read.
    pub fn unreadable(&self, error: anyhow::Error) {
        self.fail(|| Failure::Unreadable(error));
    }

    /// Stops the guest, because its writes cannot be stored.
    pub fn unwritable(&self, error: &io::Error) {
        let reason = match error.raw_os_error() {
            Some(code) => Errno::from_raw(code).desc().to_owned(),
            None => error.to_string(),
        };
        self.fail(|| {
            Failure::Unwritable(Unwritable {
                directory: self.directory.clone(),
                reason,
                // Measured here: when the machine has ended, its files take no space any more.
                free: (self.free, room::free(&self.directory)),
                needed: self.needed,
            })
        });
    }

    /// Remembers the first failure, and stops the guest.
    fn fail(&self, failure: impl FnOnce() -> Failure) {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(failure);
        self.stop();
    }

    /// Returns the first failure.
    pub fn failure(&self) -> Option<Failure> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
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
