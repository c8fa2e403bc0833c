//! Opening and reading the files that hold a file system's data.

mod directory;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::regular::{changed, check_length, length, opening};
use super::{DataSource, FinishedFile};
use crate::tree::{ChangeCheck, Source, SourceDirectory, SourceFile};
use crate::{escape, untrusted};

/// Opens files of trees. The directory of the last file stays open: the next file is likely to be
/// in it, and finding the directory is half the cost of opening a file by its path.
#[derive(Default)]
pub struct Opener {
    last: Option<(Arc<SourceDirectory>, OwnedFd)>,
}

impl Opener {
    /// Opens `source`.
    ///
    /// # Errors
    /// If it can't be opened, or has changed since it was listed.
    pub fn open<'a>(&mut self, source: DataSource<'a>) -> Result<Opened<'a>> {
        let content = match source {
            DataSource::Tree(content) => content,
            DataSource::Finished(file) => return Ok(Opened::Finished(file)),
        };
        Ok(match &content.source {
            Source::Bytes(bytes) => Opened::Bytes(bytes),
            Source::File(source) => {
                let file = self
                    .open_in_directory(source)
                    .with_context(|| opening(&source.path()))?;
                let length = length(&file, || source.path())?;
                check_length(|| source.path(), content.size, length)?;
                Opened::File(file, source)
            }
        })
    }

    fn open_in_directory(&mut self, source: &SourceFile) -> Result<File> {
        let directory = match self.last.take() {
            Some(last) if Arc::ptr_eq(&last.0, source.directory()) => last,
            _ => (
                source.directory().clone(),
                directory::open(source.directory().path())?,
            ),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | untrusted::FLAGS;
        let file = openat(directory.1.as_fd(), source.name(), flags, Mode::empty());
        let file = file.map_err(not_opened)?;
        self.last = Some(directory);
        Ok(file.into())
    }
}

/// Returns the error for a listed file that can't be opened.
fn not_opened(errno: Errno) -> Error {
    match errno {
        Errno::ENOENT => changed("it existed when it was listed, but does not now"),
        Errno::ELOOP => {
            changed("it was a regular file when it was listed, but is a symbolic link now")
        }
        errno => io::Error::from(errno).into(),
    }
}

/// Checks by the file's timestamp that it has not changed since it was listed.
pub fn check_time(file: &File, source: &SourceFile) -> Result<()> {
    let check = source.directory().change_check();
    if check == ChangeCheck::Length {
        return Ok(());
    }
    let metadata = file
        .metadata()
        .with_context(|| format!("reading the time of {}", escape::path(&source.path())))?;
    let time = check.time(
        (metadata.mtime(), metadata.mtime_nsec()),
        (metadata.ctime(), metadata.ctime_nsec()),
    );
    match time == source.time() {
        true => Ok(()),
        false => Err(changed(format!(
            "{} was modified after it was listed",
            escape::path(&source.path())
        ))),
    }
}

/// The contents of a file, ready to be read.
pub enum Opened<'a> {
    /// They are in memory.
    Bytes(&'a [u8]),
    /// They are in an open file of a tree.
    File(File, &'a SourceFile),
    /// They are in a finished file, which does not change.
    Finished(&'a FinishedFile),
}

impl Opened<'_> {
    /// Fills `buffer` with the bytes starting at `offset`.
    ///
    /// # Errors
    /// If reading fails, there are too few bytes, or the file has changed since it was listed.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        match self {
            Opened::Bytes(bytes) => {
                buffer.copy_from_slice(slice(bytes, offset, buffer.len())?);
            }
            Opened::File(file, source) => {
                read(file, || source.path(), buffer, offset)?;
                check_time(file, source)?;
            }
            Opened::Finished(finished) => {
                read(
                    finished.file(),
                    || finished.path().to_owned(),
                    buffer,
                    offset,
                )?;
            }
        }
        Ok(())
    }
}

/// Fills `buffer` with the bytes of `input` starting at `offset`. The path is for messages.
///
/// # Errors
/// If reading fails, or there are too few bytes.
pub fn read(
    input: &File,
    path: impl Fn() -> PathBuf,
    mut buffer: &mut [u8],
    mut offset: u64,
) -> Result<()> {
    while !buffer.is_empty() {
        match input.read_at(buffer, offset) {
            Ok(0) => {
                return Err(changed(format!(
                    "{} has at most {offset} bytes but was longer when it was listed",
                    escape::path(&path())
                )));
            }
            Ok(n) => {
                buffer = &mut buffer[n..];
                // usize to u64: lossless on every target Rust has.
                offset = offset.saturating_add(n as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", escape::path(&path())));
            }
        }
    }
    Ok(())
}

/// Returns `length` bytes of `bytes`, starting at `offset`.
///
/// # Errors
/// If there are too few bytes.
pub fn slice(bytes: &[u8], offset: u64, length: usize) -> Result<&[u8]> {
    usize::try_from(offset)
        .ok()
        .and_then(|from| bytes.get(from..from.checked_add(length)?))
        .context("the file is shorter than its size")
}
