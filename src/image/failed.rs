//! The error for a failed write to the file of an image.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Result, anyhow};

use crate::escape;

/// Returns the error for a write of `file`, whose path is `path`, that failed with `error`. A full file
/// system is reported with the space needed, in the words of `need`, and the space available. `length`
/// is the length of the whole file in bytes, or its maximum.
pub(crate) fn write_failed(
    error: io::Error,
    file: &File,
    path: &Path,
    length: u64,
    need: impl FnOnce() -> String,
) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let message = full(file, path, &need());
            anyhow!(error).context(message)
        }
        io::ErrorKind::FileTooLarge => {
            let path = escape::path(path);
            anyhow!(error).context(format!("writing {path}, which has {length} bytes"))
        }
        _ => anyhow!(error).context(format!("writing {}", escape::path(path))),
    }
}

/// Returns the message for a full file system on which `path` was written, with the space needed, in
/// the words of `need`, and the space available. `file` is what `path` leads to, or its directory.
pub(crate) fn full(file: &File, path: &Path, need: &str) -> String {
    let path = escape::path(path);
    let room = room(file).map_or_else(
        |why| format!("unknown ({why:#})"),
        |bytes| format!("{bytes} bytes"),
    );
    format!(
        "writing {path}: {need}, available: {room}; free some space there, or build where there is \
         more (the directory of the output, TMPDIR)"
    )
}

/// Bytes available to us on the file's file system, including those already written to the file.
fn room(file: &File) -> Result<u64> {
    let found = nix::sys::statvfs::fstatvfs(file)?;
    let free = found
        .blocks_available()
        .saturating_mul(found.fragment_size());
    let ours = file.metadata()?.blocks().saturating_mul(512);
    Ok(free.saturating_add(ours))
}
