//! Bytes from one open file to another, by the kernel where it has a better way than copying.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::sys::statfs::{EXT4_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};
use nix::unistd::{Whence, lseek};

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

/// Asks the kernel to copy, until it can't.
pub struct InKernel(bool);

impl InKernel {
    /// For copies to `output`. File systems that can share blocks between files, or have a server
    /// copy, are better at it than we are. On these two the kernel copies page by page, and all the
    /// while nobody else can write to `output`.
    pub fn new(output: &File) -> InKernel {
        let slow = [EXT4_SUPER_MAGIC, TMPFS_MAGIC];
        InKernel(fstatfs(output).is_ok_and(|found| !slow.contains(&found.filesystem_type())))
    }

    /// Copies as much of `range` as the kernel does, and returns the rest.
    pub fn copy(&mut self, input: &File, output: &File, mut range: Range) -> Range {
        while self.0 && range.length > 0 {
            let (Ok(mut from), Ok(mut to)) = (i64::try_from(range.from), i64::try_from(range.to))
            else {
                break;
            };
            // A call may do less than it is asked to; 1 GiB fits every usize.
            let length = usize::try_from(range.length.min(1 << 30)).unwrap_or(1 << 30);
            match copy_file_range(input, Some(&mut from), output, Some(&mut to), length) {
                // usize to u64: lossless on every target Rust has.
                Ok(copied) if copied > 0 => range = range.behind(copied as u64),
                Err(Errno::EINTR) => {}
                // Which files it can't do it between differs from kernel to kernel, and so does
                // how it says that. A true failure, or an end of file, is met again by who copies
                // the rest.
                Ok(_) | Err(_) => self.0 = false,
            }
        }
        range
    }
}

impl Range {
    /// What is left when `copied` bytes are there.
    pub fn behind(self, copied: u64) -> Range {
        Range {
            from: self.from.saturating_add(copied),
            to: self.to.saturating_add(copied),
            length: self.length.saturating_sub(copied),
        }
    }
}

/// Fills `buffer` with the bytes of `input` from `offset` on; the path is for messages.
///
/// # Errors
/// If reading fails, or there are not as many.
pub fn read(
    input: &File,
    path: impl Fn() -> PathBuf,
    mut buffer: &mut [u8],
    mut offset: u64,
) -> Result<()> {
    while !buffer.is_empty() {
        match input.read_at(buffer, offset) {
            Ok(0) => bail!(
                "{} ends at byte {offset} and was longer when it was listed: it was changed during \
                 the build",
                escape::path(&path())
            ),
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_kernel_copies_until_the_file_ends_and_says_what_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
        fs::write(&from, [7; 5000]).unwrap();
        let input = File::open(&from).unwrap();
        let output = File::create(&to).unwrap();
        let range = Range {
            from: 1000,
            to: 100,
            length: 10_000,
        };
        let mut kernel = InKernel(true);
        let left = kernel.copy(&input, &output, range);
        assert_eq!((left.from, left.to, left.length), (5000, 4100, 6000));
        assert!(!kernel.0, "at the end of a file it is asked no more");
        let mut expected = vec![0; 100];
        expected.extend([7; 4000]);
        assert_eq!(fs::read(&to).unwrap(), expected);
    }

    #[test]
    fn what_the_kernel_does_not_copy_is_left_as_a_whole() {
        let (input, output) = (tempfile::tempfile().unwrap(), File::open("/proc").unwrap());
        let range = Range {
            from: 1,
            to: 2,
            length: 3,
        };
        for mut kernel in [InKernel(true), InKernel(false)] {
            let left = kernel.copy(&input, &output, range);
            assert_eq!((left.from, left.to, left.length), (1, 2, 3));
        }
    }

    #[test]
    fn where_pages_are_copied_one_by_one_the_kernel_is_not_asked() {
        let memory = tempfile::tempfile_in("/dev/shm").unwrap();
        assert!(!InKernel::new(&memory).0);
    }
}
