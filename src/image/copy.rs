//! Bytes from one open file to another, by the kernel where it has a better way than copying.

use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::sys::statfs::{EXT4_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};

/// A place in a file, a place on the disk, and a number of bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyRange {
    /// Where reading begins, in bytes.
    pub from: u64,
    /// Where writing begins, in bytes.
    pub to: u64,
    /// How many bytes.
    pub length: u64,
}

/// Whether the kernel is to copy to `output`. File systems that can share blocks between files, or
/// have a server copy, are better at it than we are. On these two the kernel copies page by page, and
/// all the while nobody else can write to `output`.
pub fn is_worth_asking(output: &File) -> bool {
    let slow = [EXT4_SUPER_MAGIC, TMPFS_MAGIC];
    fstatfs(output).is_ok_and(|found| !slow.contains(&found.filesystem_type()))
}

/// Has the kernel copy as much of `range` as it can, and returns the rest.
pub fn in_kernel(input: &File, output: &File, mut range: CopyRange) -> CopyRange {
    while range.length > 0 {
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
            Ok(_) | Err(_) => break,
        }
    }
    range
}

impl CopyRange {
    /// What is left when `copied` bytes are there.
    pub fn behind(self, copied: u64) -> CopyRange {
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
    fn the_kernel_copies_until_the_file_ends_and_says_what_is_left() {
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
    fn what_the_kernel_does_not_copy_is_left_as_a_whole() {
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
    fn where_pages_are_copied_one_by_one_the_kernel_is_not_asked() {
        let memory = tempfile::tempfile_in("/dev/shm").unwrap();
        assert!(!is_worth_asking(&memory));
    }
}
