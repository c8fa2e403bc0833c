//! What tools have left, looked at before it is used. A tool is the caller's: it may be broken, or be
//! another than it should be.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nix::libc;

use crate::escape;

/// Opens the regular file `path`, which `tool` should have left, for reading and writing. It follows
/// no symbolic link, and waits for nobody at the other end of a FIFO.
///
/// # Errors
/// If it is missing, is anything else, or can't be opened.
pub fn open(path: &Path, tool: &str) -> Result<File> {
    let shown = escape::path(path);
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{tool} did not make {shown}, and yet its status was 0")
        }
        Err(error) => return Err(error).with_context(|| format!("looking for {shown}")),
    };
    ensure!(
        kind.is_file(),
        "{tool} should have left a regular file at {shown}, and left {}",
        name(kind)
    );
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .with_context(|| format!("opening {shown}"))
}

/// As [`open`], of a file that has `length` bytes.
///
/// # Errors
/// Also if it has more or less.
pub fn open_of_length(path: &Path, tool: &str, length: u64) -> Result<File> {
    let file = open(path, tool)?;
    let found = file.metadata().context("asking for a file's length")?.len();
    ensure!(
        found == length,
        "{tool} should have left {length} bytes in {}, and left {found}",
        escape::path(path)
    );
    Ok(file)
}

fn name(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_file() {
        "a regular file"
    } else {
        "a device"
    }
}
