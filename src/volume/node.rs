//! Files of any file system.

use anyhow::Result;
use time::OffsetDateTime;

use super::{Contents, Meaning, Owners};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Fifo,
    Socket,
    /// A value that no kind has.
    Unknown,
}

impl Kind {
    /// Its name for people and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Symlink => "symbolic link",
            Kind::CharacterDevice => "character device",
            Kind::BlockDevice => "block device",
            Kind::Fifo => "FIFO",
            Kind::Socket => "socket",
            Kind::Unknown => "unknown",
        }
    }

    /// The first letter in a listing, as in `ls -l`.
    pub fn letter(self) -> char {
        match self {
            Kind::File => '-',
            Kind::Directory => 'd',
            Kind::Symlink => 'l',
            Kind::CharacterDevice => 'c',
            Kind::BlockDevice => 'b',
            Kind::Fifo => 'p',
            Kind::Socket => 's',
            Kind::Unknown => '?',
        }
    }
}

/// A file of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    /// What identifies it in the file system: the number of an inode, or the place of a directory entry.
    pub id: u64,
}

/// A time, in seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds.
    pub nanoseconds: u32,
}

/// A time in seconds as a date, in UTC.
pub(crate) fn seconds(seconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(time) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            time.year(),
            u8::from(time.month()),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        ),
        Err(_) => format!("@{seconds}"),
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&seconds(self.seconds))?;
        match self.nanoseconds {
            0 => Ok(()),
            nanoseconds => write!(f, ".{nanoseconds:09}"),
        }
    }
}

/// What a file system says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Its kind.
    pub kind: Kind,
    /// Permissions; `None` if the file system has none.
    pub mode: Option<u16>,
    /// User and group; `None` if the file system has none.
    pub owner: Option<(u32, u32)>,
    /// Its length in bytes.
    pub size: u64,
    /// The times that the file system has, by name.
    pub times: Vec<(&'static str, Time)>,
    /// Number of hard links; 1 if the file system has none.
    pub links: u32,
    /// The number of the inode, if there is one.
    pub inode: Option<u64>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// Other properties, by name: flags of an inode, attributes of a FAT entry.
    pub others: Vec<(&'static str, String)>,
}

/// A file system whose files can be read.
pub(crate) trait FileSystem {
    /// The top directory.
    fn root(&self) -> Node;

    /// Reads the names in a directory, without `.` and `..`, in the order of the directory.
    ///
    /// # Errors
    /// If the directory is damaged, or too long.
    fn list(&self, directory: Node) -> Result<Vec<(Vec<u8>, Node)>>;

    /// Reads the properties of a file.
    ///
    /// # Errors
    /// If they cannot be read.
    fn meta(&self, node: Node) -> Result<Meta>;

    /// Finds the contents of a regular file, or the target of a symbolic link.
    ///
    /// # Errors
    /// If they are damaged.
    fn contents(&self, node: Node) -> Result<Contents>;

    /// Reads the extended attributes of a file, sorted by name.
    ///
    /// # Errors
    /// If they are damaged.
    fn xattrs(&self, node: Node) -> Result<Vec<(Vec<u8>, Vec<u8>)>>;

    /// Whether names that differ only in case are the same.
    fn ignores_case(&self) -> bool;

    /// Finds out what each byte is used for.
    ///
    /// # Errors
    /// If the file system is damaged so much that this is not possible.
    fn owners(&self) -> Result<Owners>;

    /// What owners of this file are called in [`Owners`]: its inode or first cluster.
    ///
    /// # Errors
    /// If it cannot be read.
    fn identity(&self, node: Node) -> Result<u64>;

    /// Explains the byte `at`, which belongs to an owner of `owners`.
    fn explain(&self, owners: &Owners, at: u64) -> Meaning;
}
