//! The guest's answer: a tar archive on a disk of its own.
//!
//! Its entries, in any order but that of files: `owners` (JSON), a `file` for everything new or
//! changed, `gone` (paths that were there before, each followed by a NUL), an `area` for each part
//! of the disk asked for, and last `end`, with the job's token. Files are in the order of a walk:
//! one volume after the other, parents first, names sorted. What tar's own headers can't hold (any
//! bytes in names and attributes, nanoseconds) is in one pax record ([`RECORD`]) of JSON, which has
//! no newline: readers of pax headers trip over them.
//!
//! A report is input from outside: programs of the image run as root in the guest, and what they do
//! to its disks may be what they want. It is read in bounded memory, and what is read is sound by
//! itself; whether it fits the image, `merge` decides.

pub(super) mod check;
mod read;
mod write;

use serde::{Deserialize, Serialize};

use crate::tree::{DataRange, Timestamp, Xattr};

pub use read::{Entry, Limits, Report, read};
pub use write::Writer;

/// The key of the pax record with a [`Record`], or an area's name.
const RECORD: &str = "MAKE-DISK-IMAGE.record";

/// The most bytes of a pax record. A path has 4096 bytes, a link's target 4095, the attributes of an
/// inode of ext4 less than 8192, and a byte takes up to 4 in JSON; [`MOST_RANGES`] take 43 each.
const LONGEST_RECORD: u64 = 4 << 20;

/// The longest path, in bytes: Linux's, without the NUL.
const LONGEST_PATH: usize = 4095;

/// The most ranges of a file's data.
pub const MOST_RANGES: usize = 1 << 16;

/// One inode, or one more name of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Number of the boot partition it is on; 0 for the root file system.
    pub volume: u32,
    /// Where it is: names with slashes between them, none in front. Empty: the root directory.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: RecordKind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change of the bytes: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Flags, as `FS_IOC_GETFLAGS` gives them.
    pub flags: u32,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the bytes of a regular file are that has holes; the archive's entry has no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparse: Option<Sparse>,
}

/// Bytes of a file with holes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sparse {
    /// Length of the file in bytes, holes included.
    pub size: u64,
    /// The parts that are no holes, in order: first byte and length, which is not 0.
    pub data: Vec<(u64, u64)>,
}

impl Sparse {
    /// Its data.
    pub fn ranges(&self) -> impl Iterator<Item = DataRange> + '_ {
        let data = self.data.iter();
        data.map(|&(offset, length)| DataRange { offset, length })
    }
}

/// What a [`Record`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordKind {
    /// A directory, without its entries.
    Directory,
    /// A regular file; the archive's entry has its bytes.
    File,
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A character device: major, minor.
    Character(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// Another name of the inode that an earlier record of the volume has at this path.
    Link(Vec<u8>),
}

impl Record {
    /// Its time.
    pub fn time(&self) -> Timestamp {
        Timestamp {
            seconds: self.mtime.0,
            nanoseconds: self.mtime.1,
        }
    }

    /// Its attributes.
    pub fn attributes(&self) -> Vec<Xattr> {
        let xattrs = self.xattrs.iter();
        xattrs
            .map(|(name, value)| Xattr {
                name: name.as_slice().into(),
                value: value.as_slice().into(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
