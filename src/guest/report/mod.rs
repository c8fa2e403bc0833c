//! The guest's answer: a tar archive on a disk of its own.
//!
//! Its entries, in this order: `owners` (JSON), `paths` (each followed by a NUL), a `file` for
//! everything new or changed, an `area` for each part of the disk asked for, and `end`. What tar's
//! own headers can't hold (any bytes in names and attributes, nanoseconds) is in one pax record
//! ([`RECORD`]) of JSON, which has no newline: readers of pax headers trip over them.

mod read;
mod write;

use serde::{Deserialize, Serialize};

use crate::tree::{Timestamp, Xattr};

pub use read::{Entry, Report, read};
pub use write::Writer;

/// The key of the pax record with a [`Record`], or an area's name.
const RECORD: &str = "MAKE-DISK-IMAGE.record";

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
mod tests {
    use super::*;
    use crate::owner::Ids;
    use crate::tree::Source;
    use std::io::{Cursor, Seek};

    fn record(path: &[u8], kind: RecordKind) -> Record {
        Record {
            volume: 0,
            path: path.to_vec(),
            kind,
            mode: 0o4755,
            uid: 4_000_000_000,
            gid: 7,
            mtime: (-1, 999_999_999),
            flags: 0x8_0010,
            xattrs: vec![(b"user.\n".to_vec(), b"a\n\0=b".to_vec())],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let work = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile().unwrap();
        let ids = Ids {
            uid: 1000,
            gid: 100,
        };
        let long = [b"\xff\n ".repeat(200), b"/x".to_vec()].concat();
        let records = [
            record(b"", RecordKind::Directory),
            record(b"a", RecordKind::File),
            record(b"b", RecordKind::Symlink(b"//x/./\n".to_vec())),
            record(&long, RecordKind::Link(b"a".to_vec())),
            record(b"large", RecordKind::File),
        ];
        let large = vec![7; 100_000];
        let mut writer = Writer::new(file.try_clone().unwrap());
        writer.owners(&[ids]).unwrap();
        writer.paths(b"a\0b\0").unwrap();
        for record in &records {
            let bytes: &[u8] = match &record.path[..] {
                b"a" => b"small",
                b"large" => &large,
                _ => b"",
            };
            let length = u64::try_from(bytes.len()).unwrap();
            writer.file(record, length, bytes).unwrap();
        }
        writer.area("mbr", b"code").unwrap();
        writer.end().unwrap();

        let mut file = file;
        file.rewind().unwrap();
        let report = read(&mut file, work.path()).unwrap();
        assert_eq!(report.owners, [ids]);
        assert_eq!(report.paths, b"a\0b\0");
        assert_eq!(report.areas["mbr"], b"code");
        let read: Vec<_> = report.entries.iter().map(|e| &e.record).collect();
        assert_eq!(read, records.iter().collect::<Vec<_>>());
        let sources: Vec<_> = report
            .entries
            .iter()
            .filter_map(|entry| {
                Some(match &entry.content.as_ref()?.source {
                    Source::Bytes(bytes) => bytes.to_vec(),
                    Source::File(file) => std::fs::read(file.path()).unwrap(),
                })
            })
            .collect();
        assert_eq!(sources, [b"small".to_vec(), large]);
    }

    #[test]
    fn a_report_without_its_end_is_refused() {
        let work = tempfile::tempdir().unwrap();
        let mut empty = Cursor::new(vec![0; 4096]);
        let error = read(&mut empty, work.path()).unwrap_err().to_string();
        assert_eq!(
            error,
            "the guest's report is not whole: it ends before its last entry"
        );
        let mut rubbish = Cursor::new(b"rubbish".repeat(1000));
        assert!(read(&mut rubbish, work.path()).is_err());
    }
}
