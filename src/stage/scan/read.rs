//! Reading one directory, and one entry.

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

/// Whether the last name of a path is followed where it is a symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It is.
    Yes,
    /// The symlink itself is meant.
    No,
}

/// An inode of this machine that has several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostInode {
    device: u64,
    inode: u64,
    /// How many names it has in all.
    pub links: u64,
}

/// What one name stands for.
#[derive(Debug)]
pub struct Entry {
    /// Mode, owner, time, flags, attributes.
    pub(crate) metadata: Metadata,
    /// What it is.
    pub(crate) kind: EntryKind,
    /// Where it has other names, too, and that matters.
    pub(crate) shared: Option<HostInode>,
}

/// A [`Kind`] that knows neither its entries nor its place yet.
#[derive(Debug)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file of `size` bytes, with the parts of it that are not holes.
    File {
        /// In bytes.
        size: u64,
        /// As in [`crate::tree::Content`].
        data: Option<Vec<DataRange>>,
        /// What [`crate::tree::ChangeCheck::time`] says of it.
        time: i64,
    },
    /// Anything else.
    Other(Kind),
}

/// Something that could not be read.
#[derive(Debug)]
pub struct Problem {
    /// What was done.
    pub operation: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// Why it did not work.
    pub cause: io::Error,
}

/// What a scan does on every thread.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// What is kept.
    pub policy: Policy,
}

impl Reader {
    /// Hands the name and kind of every entry of the directory `path` to `found`, in no order, and
    /// what is wrong to `problem`; those whose names are not `wanted` are not looked at.
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
                // After an error the kernel may give the same one for ever.
                Err(errno) => return problem(listing(errno.into())),
            };
            let name = match entry.file_name().to_bytes() {
                b"." | b".." => continue,
                name if !wanted(name) => continue,
                name => OsStr::from_bytes(name),
            };
            // Now, and not when all names are known: what the kernel just listed is in the
            // processor's caches.
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
            // Of a symlink nothing is left to ask for but its target: Linux gives them all one
            // mode, symlink(7).
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

    /// What `path` stands for.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn path(self, path: &Path, follow: Follow) -> Result<Entry, Problem> {
        match follow {
            Follow::Yes => stat(path),
            Follow::No => lstat(path),
        }
        .map_err(|errno| (METADATA, errno.into()))
        // A path that ends in a slash has been followed by the kernel.
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
                let size = u64::try_from(stat.st_size).map_err(|_| invalid("its size"))?;
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
            _ => return Err(invalid("its kind")),
        };
        #[allow(
            clippy::useless_conversion,
            reason = "32 bits on some architectures, 64 on others"
        )]
        let links = u64::from(stat.st_nlink);
        // Of directories, links are those of the directories in them.
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
                nanoseconds: u32::try_from(stat.st_mtime_nsec).map_err(|_| invalid("its time"))?,
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
        let mode = u16::try_from(stat.st_mode & 0o7777).map_err(|_| invalid("its mode"))?;
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

    /// Checks that a regular file can be read, and looks for holes in it.
    fn data(
        self,
        stat: &FileStat,
        size: u64,
        path: impl Fn() -> PathBuf,
    ) -> Result<Option<Vec<DataRange>>, Failure> {
        // Better now than when half of the image is written. Store files pass without a call.
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
        // Those that are there may lie within blocks of the image.
        let has_holes = ranges != slice::from_ref(&(0..size));
        let range = |range: Range<u64>| DataRange {
            offset: range.start,
            length: range.end - range.start,
        };
        Ok(has_holes.then(|| ranges.into_iter().map(range).collect()))
    }
}

/// What was done and why it did not work.
type Failure = (&'static str, io::Error);

/// For stat(2).
const METADATA: &str = "reading the metadata of";

/// The kernel says something that can't be.
fn invalid(what: &str) -> Failure {
    (METADATA, io::Error::other(format!("{what} makes no sense")))
}

fn failed((operation, cause): Failure, path: PathBuf) -> Problem {
    Problem {
        operation,
        path,
        cause,
    }
}

/// Opens a directory, and lists it by a second descriptor. From the first one its entries are found
/// in half the time that finding them by their whole path takes.
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
    let number = |number: u64| u32::try_from(number).map_err(|_| invalid("its device number"));
    Ok(Device {
        major: number(major(stat.st_rdev))?,
        minor: number(minor(stat.st_rdev))?,
    })
}

/// Sorted by path.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| {
        let bytes = |problem: &Problem| problem.path.as_os_str().as_bytes().to_vec();
        bytes(a).cmp(&bytes(b))
    });
}
