//! Reading a directory and its entries.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::slice;

use nix::dir::{Dir, OwningIter, Type};
use nix::fcntl::{AtFlags, OFlag, readlink, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, lstat, major, minor, stat};
use nix::unistd::{AccessFlags, access};

use super::policy::{HardLinks, Mtime, Policy};
use super::{flags, xattrs};
use crate::fs::BLOCK;
use crate::tree::{DataRange, Device, Flags, Kind, Metadata, Timestamp, Xattrs};
use crate::{holes, untrusted};

/// Whether a symlink at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Follow it.
    Yes,
    /// Use the symlink itself.
    No,
}

/// An inode on the host that has several hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostInode {
    device: u64,
    inode: u64,
    /// Its total number of hard links.
    pub links: u64,
}

/// A directory entry and its inode.
#[derive(Debug)]
pub struct Entry {
    /// Mode, owner, time, flags, attributes.
    pub(crate) metadata: Metadata,
    /// Its file type and contents.
    pub(crate) kind: EntryKind,
    /// Set if it has other hard links and the policy needs them.
    pub(crate) shared: Option<HostInode>,
}

/// A [`Kind`] without directory entries and without the source of a file.
#[derive(Debug)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// The parts that are not holes, as in [`crate::tree::Content`].
        data: Option<Vec<DataRange>>,
        /// The result of [`crate::tree::ChangeCheck::time`] for it.
        time: i64,
    },
    /// Anything else.
    Other(Kind),
}

/// A failure to read something.
#[derive(Debug)]
pub struct Problem {
    /// The operation that failed.
    pub operation: &'static str,
    /// The path it was applied to.
    pub path: PathBuf,
    /// The cause of the failure.
    pub cause: io::Error,
}

/// Reads directories and entries according to a policy; each thread has a copy.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Which metadata is kept.
    pub policy: Policy,
}

impl Reader {
    /// Passes every entry of the directory `path` whose name is `wanted` to `found`, in no
    /// particular order, and failures to `problem`. Other entries are skipped.
    pub fn directory(
        self,
        path: &Path,
        wanted: impl Fn(&[u8]) -> bool,
        mut found: impl FnMut(&OsStr, Entry),
        mut problem: impl FnMut(Problem),
    ) {
        let listing = |cause: io::Error| failed(("listing", cause), path.to_owned());
        let (directory, entries) = match open(path) {
            Ok(opened) => opened,
            Err(cause) => return problem(listing(cause)),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                // After an error, the kernel may return the same error forever.
                Err(errno) => return problem(listing(errno.into())),
            };
            let name = match entry.file_name().to_bytes() {
                b"." | b".." => continue,
                name if !wanted(name) => continue,
                name => OsStr::from_bytes(name),
            };
            // Immediately and not after the whole directory has been listed: the kernel's data
            // about this entry is still in the processor's caches.
            match self.entry(&directory, path, name, entry.file_type()) {
                Ok(entry) => found(name, entry),
                Err(failure) => problem(failed(failure, path.join(name))),
            }
        }
    }

    fn entry(
        self,
        directory: &OwnedFd,
        path: &Path,
        name: &OsStr,
        kind: Option<Type>,
    ) -> Result<Entry, Failure> {
        let link = || readlinkat(directory, name);
        if let Policy {
            mtime: Mtime::Fixed(mtime),
            hard_links: HardLinks::Broken,
            xattrs: false,
            ..
        } = self.policy
            && kind == Some(Type::Symlink)
        {
            // For a symlink, only the target is needed: on Linux all symlinks have the same mode,
            // symlink(7).
            let metadata = Metadata {
                mtime,
                ..Metadata::new(0o777)
            };
            return Ok(Entry {
                metadata,
                kind: EntryKind::Other(symlink(link())?),
                shared: None,
            });
        }
        let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|errno| (METADATA, errno.into()))?;
        self.inode(&stat, || path.join(name), link)
    }

    /// Reads the entry at `path`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn path(self, path: &Path, follow: Follow) -> Result<Entry, Problem> {
        match follow {
            Follow::Yes => stat(path),
            Follow::No => lstat(path),
        }
        .map_err(|errno| (METADATA, errno.into()))
        // The kernel follows a symlink if the path ends in a slash.
        .and_then(|stat| self.inode(&stat, || path.to_owned(), || readlink(path)))
        .map_err(|failure| failed(failure, path.to_owned()))
    }

    fn inode(
        self,
        stat: &FileStat,
        path: impl Fn() -> PathBuf,
        link: impl Fn() -> nix::Result<OsString>,
    ) -> Result<Entry, Failure> {
        let metadata = self.metadata(stat, &path)?;
        let file_type = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        let kind = match file_type {
            SFlag::S_IFDIR => EntryKind::Directory,
            SFlag::S_IFREG => {
                let size = u64::try_from(stat.st_size).map_err(|_| invalid("size"))?;
                let data = self.data(stat, size, path)?;
                let time = self.policy.change_check.time(
                    (stat.st_mtime, stat.st_mtime_nsec),
                    (stat.st_ctime, stat.st_ctime_nsec),
                );
                EntryKind::File { size, data, time }
            }
            SFlag::S_IFLNK => EntryKind::Other(symlink(link())?),
            SFlag::S_IFIFO => EntryKind::Other(Kind::Fifo),
            SFlag::S_IFSOCK => EntryKind::Other(Kind::Socket),
            SFlag::S_IFCHR => EntryKind::Other(Kind::CharacterDevice(device(stat)?)),
            SFlag::S_IFBLK => EntryKind::Other(Kind::BlockDevice(device(stat)?)),
            _ => return Err(invalid("file type")),
        };
        #[allow(
            clippy::useless_conversion,
            reason = "32 bits on some architectures, 64 on others"
        )]
        let links = u64::from(stat.st_nlink);
        // The link count of a directory counts its subdirectories.
        let several = links > 1 && file_type != SFlag::S_IFDIR;
        let shared =
            (self.policy.hard_links != HardLinks::Broken && several).then_some(HostInode {
                device: stat.st_dev,
                inode: stat.st_ino,
                links,
            });
        Ok(Entry {
            metadata,
            kind,
            shared,
        })
    }

    fn metadata(self, stat: &FileStat, path: impl Fn() -> PathBuf) -> Result<Metadata, Failure> {
        let mtime = match self.policy.mtime {
            Mtime::Fixed(time) => time,
            Mtime::Kept => Timestamp {
                seconds: stat.st_mtime,
                nanoseconds: u32::try_from(stat.st_mtime_nsec)
                    .map_err(|_| invalid("modification time"))?,
            },
        };
        let flags = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Flags::of_file(self.flags(&path)?),
            SFlag::S_IFDIR => Flags::of_directory(self.flags(&path)?),
            _ => Flags::default(),
        };
        let mut xattrs = Xattrs::default();
        if self.policy.xattrs {
            let found = xattrs::read(&path(), xattrs::belongs_to_file);
            xattrs = found
                .map_err(|cause| ("reading the extended attributes of", cause))?
                .into();
        }
        let mode = u16::try_from(stat.st_mode & 0o7777).map_err(|_| invalid("mode"))?;
        Ok(Metadata {
            mtime,
            flags,
            xattrs,
            ..Metadata::new(mode)
        })
    }

    fn flags(self, path: impl Fn() -> PathBuf) -> Result<u32, Failure> {
        if !self.policy.flags {
            return Ok(0);
        }
        let file = flags::open(&path()).map_err(|cause| ("opening", cause))?;
        flags::read(&file).map_err(|cause| ("reading the flags of", cause))
    }

    /// Checks that a regular file is readable, and finds its data ranges.
    fn data(
        self,
        stat: &FileStat,
        size: u64,
        path: impl Fn() -> PathBuf,
    ) -> Result<Option<Vec<DataRange>>, Failure> {
        // Failing here is better than failing when half of the image is written. Store files need
        // no system call.
        if stat.st_mode & 0o444 != 0o444 {
            access(&path(), AccessFlags::R_OK).map_err(|cause| ("opening", cause.into()))?;
        }
        if !self.policy.holes || !holes::possible(size, u64::try_from(stat.st_blocks).unwrap_or(0))
        {
            return Ok(None);
        }
        let file = untrusted::open(&path()).map_err(|cause| ("opening", cause))?;
        let ranges = holes::data_ranges(&file, size, BLOCK)
            .map_err(|cause| ("looking for holes in", cause))?;
        // Holes that are smaller than a block of the image are dropped.
        let has_holes = ranges != slice::from_ref(&(0..size));
        let range = |range: Range<u64>| DataRange {
            offset: range.start,
            length: range.end - range.start,
        };
        Ok(has_holes.then(|| ranges.into_iter().map(range).collect()))
    }
}

/// The operation that failed, and the cause.
type Failure = (&'static str, io::Error);

/// The operation of stat(2) in messages.
const METADATA: &str = "reading the metadata of";

/// A value from the kernel that is out of range.
fn invalid(field: &str) -> Failure {
    (METADATA, io::Error::other(format!("invalid {field}")))
}

fn failed((operation, cause): Failure, path: PathBuf) -> Problem {
    Problem {
        operation,
        path,
        cause,
    }
}

/// Opens a directory, and lists it through a second descriptor. Looking up entries relative to the
/// first descriptor takes half the time of looking them up by full path.
fn open(path: &Path) -> io::Result<(OwnedFd, OwningIter)> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = nix::fcntl::open(path, flags, Mode::empty())?;
    let entries = Dir::from_fd(directory.try_clone()?)?.into_iter();
    Ok((directory, entries))
}

fn symlink(target: nix::Result<OsString>) -> Result<Kind, Failure> {
    let target = target.map_err(|errno| ("reading the symbolic link", errno.into()))?;
    Ok(Kind::Symlink(target.into_vec().into()))
}

fn device(stat: &FileStat) -> Result<Device, Failure> {
    let number = |number: u64| u32::try_from(number).map_err(|_| invalid("device number"));
    Ok(Device {
        major: number(major(stat.st_rdev))?,
        minor: number(minor(stat.st_rdev))?,
    })
}

/// Sorts `problems` by path.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| {
        let bytes = |problem: &Problem| problem.path.as_os_str().as_bytes().to_vec();
        bytes(a).cmp(&bytes(b))
    });
}
