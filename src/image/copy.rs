//! Copying between open files in the kernel, and sharing blocks between them.

use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::sys::statfs::{EXT4_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};

use crate::fs::BLOCK;
use crate::sys;

/// A range of bytes to copy from a file to the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyRange {
    /// Where reading begins, in bytes.
    pub from: u64,
    /// Where writing begins, in bytes.
    pub to: u64,
    /// Number of bytes.
    pub length: u64,
}

/// Whether to let the kernel share blocks between files, or copy them, if the output is `output`. File
/// systems that can do the former, or let a server copy, do this better than we can. On ext4 and tmpfs, the
/// kernel copies page by page, and meanwhile no other thread can write to `output`.
pub fn prefers_kernel(output: &File) -> bool {
    let slow = [EXT4_SUPER_MAGIC, TMPFS_MAGIC];
    fstatfs(output).is_ok_and(|found| !slow.contains(&found.filesystem_type()))
}

/// Makes the whole blocks of `range` share their place on the disk with those of `input`, and returns
/// the rest. If that is not possible, it returns all of it.
pub fn shared(input: &File, output: &File, range: CopyRange) -> CopyRange {
    let length = range.length / BLOCK * BLOCK;
    match length > 0 && sys::clone_range(input, output, range.from, range.to, length).is_ok() {
        true => range.after(length),
        // Kernels and file systems differ in the error. A real failure recurs when the caller copies
        // the range.
        false => range,
    }
}

/// Lets the kernel copy as much of `range` as it can, and returns the rest.
pub fn in_kernel(input: &File, output: &File, mut range: CopyRange) -> CopyRange {
    while range.length > 0 {
        let (Ok(mut from), Ok(mut to)) = (i64::try_from(range.from), i64::try_from(range.to))
        else {
            break;
        };
        // A call may copy less than requested; 1 GiB fits every usize.
        let length = usize::try_from(range.length.min(1 << 30)).unwrap_or(1 << 30);
        match copy_file_range(input, Some(&mut from), output, Some(&mut to), length) {
            // usize to u64: lossless on every target Rust has.
            Ok(copied) if copied > 0 => range = range.after(copied as u64),
            Err(Errno::EINTR) => {}
            // Kernels differ in which files they can copy between, and in the error that they
            // return otherwise. A real failure, or the end of the file, recurs when the caller
            // copies the rest.
            Ok(_) | Err(_) => break,
        }
    }
    range
}

impl CopyRange {
    /// Returns the range that is left after `copied` bytes.
    pub fn after(self, copied: u64) -> CopyRange {
        CopyRange {
            from: self.from.saturating_add(copied),
            to: self.to.saturating_add(copied),
            length: self.length.saturating_sub(copied),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_kernel_copies_up_to_the_end_of_the_file_and_returns_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
        fs::write(&from, [7; 5000]).unwrap();
        let input = File::open(&from).unwrap();
        let output = File::create(&to).unwrap();
        let range = CopyRange {
            from: 1000,
            to: 100,
            length: 10_000,
        };
        let left = in_kernel(&input, &output, range);
        assert_eq!((left.from, left.to, left.length), (5000, 4100, 6000));
        let mut expected = vec![0; 100];
        expected.extend([7; 4000]);
        assert_eq!(fs::read(&to).unwrap(), expected);
    }

    #[test]
    fn a_range_that_the_kernel_cannot_copy_is_returned_unchanged() {
        let (input, output) = (tempfile::tempfile().unwrap(), File::open("/proc").unwrap());
        let range = CopyRange {
            from: 1,
            to: 2,
            length: 3,
        };
        let left = in_kernel(&input, &output, range);
        assert_eq!((left.from, left.to, left.length), (1, 2, 3));
    }

    #[test]
    fn files_that_cannot_share_blocks_are_left_unchanged() {
        let (input, output) = (tempfile::tempfile().unwrap(), File::open("/proc").unwrap());
        let range = CopyRange {
            from: 0,
            to: 0,
            length: 9000,
        };
        assert_eq!(shared(&input, &output, range).length, 9000);
    }

    #[test]
    fn the_kernel_is_not_preferred_on_tmpfs() {
        let memory = tempfile::tempfile_in("/dev/shm").unwrap();
        assert!(!prefers_kernel(&memory));
    }
}
