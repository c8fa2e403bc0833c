//! Opening files that another process may have replaced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// Flags for open(2) that neither follow a symbolic link nor wait for the other end of a FIFO.
pub(crate) const FLAGS: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK);

/// Creates or truncates the file `path` for writing, with [`FLAGS`].
///
/// # Errors
/// Those of open(2); `ELOOP` for a symbolic link.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(FLAGS.bits())
        .open(path)
}

/// Opens `path` for reading, with [`FLAGS`].
///
/// # Errors
/// Those of open(2); `ELOOP` for a symbolic link.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(FLAGS.bits())
        .open(path)
}
