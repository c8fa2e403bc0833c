//! Bytes from one open file to another, by the kernel where it can.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{OFlag, copy_file_range};
use nix::unistd::{Whence, lseek};

use super::batch::GATHER;
use crate::escape;

/// A place in a file and a number of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Where reading begins, in bytes.
    pub from: u64,
    /// Where writing begins, in bytes.
    pub to: u64,
    /// How many bytes.
    pub length: u64,
}

/// Opens a regular file for reading; never waits, as a pipe in its place would make it, and
/// follows no symbolic link in its last component.
///
/// # Errors
/// If it can't be opened or is no regular file.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .with_context(|| format!("opening {} to copy it", escape::path(path)))?;
    let metadata = file
        .metadata()
        .with_context(|| format!("reading the length of {}", escape::path(path)))?;
    ensure!(
        metadata.is_file(),
        "{} was a file when it was listed and is none now",
        escape::path(path)
    );
    Ok((file, metadata.len()))
}

/// The buffer and what is known of the kernel's abilities, kept from file to file.
pub struct Copier {
    buffer: Vec<u8>,
    in_kernel: bool,
}

impl Copier {
    /// A copier that asks the kernel first.
    pub fn new() -> Copier {
        Copier {
            buffer: Vec::new(),
            in_kernel: true,
        }
    }

    /// Copies `range` of `input` (at `path`, for messages) to `output`. `write_failed` makes the
    /// error where writing fails.
    ///
    /// # Errors
    /// If `input` ends before the range does, and if reading or writing fails.
    pub fn copy(
        &mut self,
        (input, path): (&File, &Path),
        output: &File,
        mut range: Range,
        write_failed: &dyn Fn(io::Error) -> anyhow::Error,
    ) -> Result<()> {
        while self.in_kernel && range.length > 0 {
            let (Ok(mut from), Ok(mut to)) = (i64::try_from(range.from), i64::try_from(range.to))
            else {
                bail!("{} has an offset beyond 2^63", escape::path(path));
            };
            // A call may do less than it is asked to; 1 GiB fits every usize.
            let length = usize::try_from(range.length.min(1 << 30)).unwrap_or(1 << 30);
            match copy_file_range(input, Some(&mut from), output, Some(&mut to), length) {
                Ok(copied) if copied > 0 => range = advance(range, copied),
                Err(Errno::EINTR) => {}
                // Which files it can't do it between differs from kernel to kernel, and so does
                // how it says that. A true failure, or an end of file, is met again below.
                Ok(_) | Err(_) => self.in_kernel = false,
            }
        }
        let size = usize::try_from(GATHER).unwrap_or(usize::MAX);
        while range.length > 0 {
            self.buffer.resize(size, 0);
            let want = usize::try_from(range.length).map_or(size, |length| length.min(size));
            let got = read_at(input, path, &mut self.buffer[..want], range.from)?;
            if got == 0 {
                return Err(shorter(path, range.from));
            }
            output
                .write_all_at(&self.buffer[..got], range.to)
                .map_err(write_failed)?;
            range = advance(range, got);
        }
        Ok(())
    }
}

fn advance(range: Range, copied: usize) -> Range {
    // usize to u64: lossless on every target Rust has.
    let copied = copied as u64;
    Range {
        from: range.from.saturating_add(copied),
        to: range.to.saturating_add(copied),
        length: range.length.saturating_sub(copied),
    }
}

/// Fills as much of `buffer` as `input` has from `offset` on, and returns how much that is.
///
/// # Errors
/// If reading fails.
pub fn read_at(input: &File, path: &Path, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read_at(&mut buffer[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", escape::path(path)));
            }
        }
    }
    Ok(filled)
}

/// The error for a file that ends too early.
pub fn shorter(path: &Path, at: u64) -> anyhow::Error {
    anyhow::anyhow!(
        "{} ends at byte {at} and was longer when it was listed: it was changed during the build",
        escape::path(path)
    )
}

/// The parts of a file of `length` bytes that are not holes, as (offset, length), in order. A file
/// system that doesn't know says that all of it is data.
///
/// # Errors
/// If seeking fails.
pub fn data_ranges(file: &File, path: &Path, length: u64) -> Result<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < length {
        let Some(start) = seek(file, path, at, Whence::SeekData)? else {
            break;
        };
        let end = seek(file, path, start, Whence::SeekHole)?.unwrap_or(length);
        let end = end.min(length);
        if start >= end {
            break;
        }
        ranges.push((start, end - start));
        at = end;
    }
    Ok(ranges)
}

/// `None` where there is nothing more to find (`ENXIO`, lseek(2)).
fn seek(file: &File, path: &Path, from: u64, whence: Whence) -> Result<Option<u64>> {
    let from = i64::try_from(from).context("a file offset beyond 2^63")?;
    match lseek(file, from, whence) {
        Ok(found) => Ok(Some(u64::try_from(found).context("a negative offset")?)),
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => {
            Err(errno).with_context(|| format!("looking for the holes of {}", escape::path(path)))
        }
    }
}
