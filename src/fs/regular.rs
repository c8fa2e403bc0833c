//! Opening regular files safely, whatever may have replaced them.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};

use crate::code::Code;
use crate::{escape, untrusted};

/// Opens a regular file for reading, and returns its length in bytes as well.
///
/// # Errors
/// If it can't be opened or is not a regular file.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let file = untrusted::open(path).with_context(|| opening(path))?;
    let length = length(&file, || path.to_owned())?;
    Ok((file, length))
}

/// Describes the operation in the error for a file that can't be opened.
pub(super) fn opening(path: &Path) -> String {
    format!("opening {} to copy it", escape::path(path))
}

/// Returns the length of a regular file. `path` makes the path for messages. It is a function
/// because making the path of every file takes time.
pub(super) fn length(file: &File, path: impl Fn() -> PathBuf) -> Result<u64> {
    let metadata = file
        .metadata()
        .with_context(|| format!("reading the length of {}", escape::path(&path())))?;
    if !metadata.is_file() {
        return Err(changed(format!(
            "{} was a regular file when it was listed, but is not one now",
            escape::path(&path())
        )));
    }
    Ok(metadata.len())
}

/// Returns the error for a file that is not what it was when it was listed. `how` names the file and
/// the difference.
pub(super) fn changed(how: impl Display) -> Error {
    Code::ChangedFile.error(format!(
        "{how}: it was changed during the build; build again when nothing writes to it"
    ))
}

/// Checks that a file that had `listed` bytes when it was listed still has as many: `now`.
pub(super) fn check_length(path: impl FnOnce() -> PathBuf, listed: u64, now: u64) -> Result<()> {
    match now == listed {
        true => Ok(()),
        false => Err(changed(format!(
            "{} has {now} bytes but had {listed} when it was listed",
            escape::path(&path())
        ))),
    }
}
