//! An inode: its metadata, its kind, and for a file the source of its bytes.

use std::ops::{Deref, DerefMut};

use super::{Directory, Flags, Source};

/// Seconds and nanoseconds since 1970-01-01 UTC; `nanoseconds` is below 10^9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// One second after 1970-01-01: the time of every file in a Nix store, and of all files in an
    /// image for which no time is given.
    pub const STORE: Timestamp = Timestamp::from_seconds(1);

    /// A time in whole seconds since 1970.
    pub const fn from_seconds(seconds: i64) -> Timestamp {
        Timestamp {
            seconds,
            nanoseconds: 0,
        }
    }
}

/// An extended attribute, with its full name (`user.mime_type`, `security.capability`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// The full name, without a terminating NUL.
    pub name: Box<[u8]>,
    /// The value as returned by `getxattr(2)`.
    pub value: Box<[u8]>,
}

/// Extended attributes, sorted by name. A vector behind a pointer: few inodes have any, and there
/// may be a million inodes.
#[derive(Debug, Clone, Default)]
#[allow(clippy::box_collection, reason = "8 bytes where a vector has 24")]
pub struct Xattrs(Option<Box<Vec<Xattr>>>);

impl From<Vec<Xattr>> for Xattrs {
    fn from(xattrs: Vec<Xattr>) -> Xattrs {
        Xattrs((!xattrs.is_empty()).then(|| Box::new(xattrs)))
    }
}

impl Xattrs {
    /// Keeps only the attributes for which `keep` is true.
    pub fn retain(&mut self, keep: impl FnMut(&Xattr) -> bool) {
        if let Some(xattrs) = &mut self.0 {
            xattrs.retain(keep);
        }
    }
}

impl Deref for Xattrs {
    type Target = [Xattr];

    fn deref(&self) -> &[Xattr] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl DerefMut for Xattrs {
    fn deref_mut(&mut self) -> &mut [Xattr] {
        self.0.as_deref_mut().map_or(&mut [], Vec::as_mut_slice)
    }
}

impl<'a> IntoIterator for &'a Xattrs {
    type Item = &'a Xattr;
    type IntoIter = std::slice::Iter<'a, Xattr>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Xattrs {
    fn eq(&self, other: &Xattrs) -> bool {
        **self == **other
    }
}

impl Eq for Xattrs {}

/// The metadata of an inode, without its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits, set-user-ID, set-group-ID and sticky: 0 to 0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time; the image's other times are derived from it.
    pub mtime: Timestamp,
    /// Flags; empty except for regular files and directories.
    pub flags: Flags,
    /// Extended attributes, sorted by name.
    pub xattrs: Xattrs,
}

impl Metadata {
    /// `root:root`, [`Timestamp::STORE`], no flags, no attributes, and `mode` (0 to 0o7777).
    pub fn new(mode: u16) -> Metadata {
        Metadata {
            mode: mode & 0o7777,
            uid: 0,
            gid: 0,
            mtime: Timestamp::STORE,
            flags: Flags::default(),
            xattrs: Xattrs::default(),
        }
    }
}

/// The device number of a special file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// The type of an inode and its contents.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A directory and its entries.
    Directory(Directory),
    /// A regular file.
    File(Content),
    /// A symbolic link and its target: any bytes except NUL.
    Symlink(Box<[u8]>),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice(Device),
    /// A block device.
    BlockDevice(Device),
}

/// One inode of a [`super::Tree`].
#[derive(Debug, Clone)]
pub struct Inode {
    /// Mode, owner, time, attributes.
    pub metadata: Metadata,
    /// Its type and contents.
    pub kind: Kind,
}

/// The contents of a regular file.
#[derive(Debug, Clone)]
pub struct Content {
    /// Length in bytes, holes included.
    pub size: u64,
    /// Where the bytes come from.
    pub source: Source,
    /// The parts that are not holes, within `size`, in order and without overlaps; `None` if there
    /// is no hole.
    #[allow(clippy::box_collection, reason = "8 bytes where a slice's box has 16")]
    pub data: Option<Box<Vec<DataRange>>>,
}

/// A part of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataRange {
    /// Offset of the first byte.
    pub offset: u64,
    /// Number of bytes, never 0.
    pub length: u64,
}

impl Content {
    /// Creates the contents of a file from bytes in memory.
    pub fn bytes(bytes: Vec<u8>) -> Content {
        Content {
            // usize to u64: lossless on every target Rust has.
            size: bytes.len() as u64,
            source: Source::Bytes(bytes.into()),
            data: None,
        }
    }

    /// Returns the parts that are not holes, in order.
    pub(crate) fn data_ranges(&self) -> impl Iterator<Item = DataRange> + '_ {
        let whole = match &self.data {
            None if self.size > 0 => Some(DataRange {
                offset: 0,
                length: self.size,
            }),
            _ => None,
        };
        whole
            .into_iter()
            .chain(self.data.iter().flat_map(|ranges| ranges.iter().copied()))
    }
}
