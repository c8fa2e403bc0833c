//! Opening regular files, whatever is in their place.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{escape, untrusted};

/// Opens a regular file for reading, and says how many bytes it has.
///
/// # Errors
/// If it can't be opened or is no regular file.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let file = untrusted::open(path).with_context(|| opening(path))?;
    let length = length(&file, || path.to_owned())?;
    Ok((file, length))
}

/// What is being done when a file can't be opened.
pub(super) fn opening(path: &Path) -> String {
    format!("opening {} to copy it", escape::path(path))
}

/// The length of a regular file. The path is for messages: making it takes time for every file.
pub(super) fn length(file: &File, path: impl Fn() -> PathBuf) -> Result<u64> {
    let metadata = file
        .metadata()
        .with_context(|| format!("reading the length of {}", escape::path(&path())))?;
    ensure!(
        metadata.is_file(),
        "{} was a file when it was listed and is none now",
        escape::path(&path())
    );
    Ok(metadata.len())
}
