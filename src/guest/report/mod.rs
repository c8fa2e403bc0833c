//! The guest's report: a tar archive on a separate disk.
//!
//! Its entries are `owners` (JSON), a `file` for everything new or changed, `gone` (the deleted paths,
//! each followed by a NUL), an `area` for each requested part of the disk, and as the last one `end`,
//! with the job's token. Files are in the order of a walk: one volume after the other, parents first,
//! names sorted. The other entries may be in any order. What tar headers cannot represent (arbitrary
//! bytes in names and attributes, nanoseconds) is in one pax record ([`RECORD`]) as JSON. It has no
//! newline, because some readers of pax headers cannot handle one.
//!
//! A report is untrusted: programs of the image run as root in the guest, and can write anything to its
//! disks. It is read in bounded memory, and each record is checked. `merge` checks whether it fits the
//! image.

pub(super) mod check;
mod read;
mod write;

use serde::{Deserialize, Serialize};

use crate::tree::{DataRange, Timestamp, Xattr};

pub(crate) use read::{Entry, Report};
pub use read::{Limits, read};
pub use write::Writer;

/// The key of the pax record, whose value is a [`Record`] or the name of an area.
const RECORD: &str = "MAKE-DISK-IMAGE.record";

/// The longest pax record, in bytes. A path has at most 4096 bytes, a link's target 4095, and the extended
/// attributes of an ext4 inode less than 8192; each byte takes up to 4 in JSON. The [`MAX_RANGES`] ranges
/// take up to 43 bytes each.
const MAX_RECORD: u64 = 4 << 20;

/// The longest path in Linux, in bytes, without the NUL.
const MAX_PATH: usize = 4095;

/// The most data ranges of a file.
pub(crate) const MAX_RANGES: usize = 1 << 16;

/// An inode, or a hard link to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The number of its boot partition, or 0 for the root file system.
    pub volume: u32,
    /// Its path, relative to the root of the volume. The root directory is the empty path.
    pub path: Vec<u8>,
    /// Its kind.
    pub kind: RecordKind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Flags, as returned by `FS_IOC_GETFLAGS`.
    pub flags: u32,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The data ranges of a regular file with holes. The archive's entry contains only these bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparse: Option<Sparse>,
}

/// The data ranges of a file with holes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sparse {
    /// Length of the file in bytes, holes included.
    pub size: u64,
    /// Offset and length of each range, in order. No length is 0.
    pub data: Vec<(u64, u64)>,
}

impl Sparse {
    /// Returns the data ranges.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = DataRange> + '_ {
        let data = self.data.iter();
        data.map(|&(offset, length)| DataRange { offset, length })
    }
}

/// The kind of a [`Record`].
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
    /// A hard link to this path, which an earlier record of the volume has.
    Link(Vec<u8>),
}

impl Record {
    /// Returns its modification time.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp {
            seconds: self.mtime.0,
            nanoseconds: self.mtime.1,
        }
    }

    /// Returns its extended attributes.
    pub(crate) fn attributes(&self) -> Vec<Xattr> {
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
