//! Reading one directory, and one entry.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{major, minor};
use nix::unistd::{AccessFlags, access};

use super::super::{DataRange, Device, Kind, Metadata, Timestamp, Xattrs};
use super::policy::{HardLinks, Mtime, Policy};
use super::{holes, xattrs};

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
pub struct Shared {
    device: u64,
    inode: u64,
    /// How many names it has in all.
    pub links: u64,
}

/// What one name stands for.
#[derive(Debug)]
pub struct Found {
    /// Mode, owner, time, attributes.
    pub metadata: Metadata,
    /// What it is.
    pub what: What,
    /// Where it has other names, too, and that matters.
    pub shared: Option<Shared>,
}

/// A [`Kind`] that knows neither its entries nor its place yet.
#[derive(Debug)]
pub enum What {
    /// A directory.
    Directory,
    /// A regular file of `size` bytes, with the parts of it that are not holes.
    File {
        /// In bytes.
        size: u64,
        /// As in [`super::super::Content`].
        data: Option<Box<[DataRange]>>,
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
    /// Hands the name and kind of every entry of `directory` to `found`, in no order, and what is
    /// wrong to `problem`.
    pub fn directory(
        self,
        directory: &Path,
        mut found: impl FnMut(&OsStr, Found),
        mut problem: impl FnMut(Problem),
    ) {
        let failed = |cause| Problem {
            operation: "listing",
            path: directory.to_path_buf(),
            cause,
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(cause) => return problem(failed(cause)),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(cause) => {
                    // After an error the kernel may give the same one for ever.
                    return problem(failed(cause));
                }
            };
            let name = entry.file_name();
            match self.entry(&entry) {
                Ok(entry) => found(&name, entry),
                Err((operation, cause)) => problem(Problem {
                    operation,
                    path: directory.join(&name),
                    cause,
                }),
            }
        }
    }

    /// What `path` stands for.
    pub fn path(self, path: &Path, follow: Follow) -> Result<Found, Problem> {
        let found = match follow {
            Follow::Yes => fs::metadata(path),
            Follow::No => fs::symlink_metadata(path),
        }
        .map_err(|cause| ("reading the metadata of", cause))
        // A path that ends in a slash has been followed by the kernel.
        .and_then(|stat| self.inode(&stat, || path.to_owned()));
        found.map_err(|(operation, cause)| Problem {
            operation,
            path: path.to_owned(),
            cause,
        })
    }

    fn entry(self, entry: &fs::DirEntry) -> Result<Found, Failure> {
        if let Policy {
            mtime: Mtime::Fixed(mtime),
            hard_links: HardLinks::Broken,
            xattrs: false,
            ..
        } = self.policy
            && entry.file_type().is_ok_and(|kind| kind.is_symlink())
        {
            // Of a symlink nothing is left to ask for but its target: Linux gives them all one
            // mode, symlink(7).
            let metadata = Metadata {
                mtime,
                ..Metadata::new(0o777)
            };
            return Ok(Found {
                metadata,
                what: What::Other(symlink(&entry.path())?),
                shared: None,
            });
        }
        let stat = entry
            .metadata()
            .map_err(|cause| ("reading the metadata of", cause))?;
        self.inode(&stat, || entry.path())
    }

    fn inode(self, stat: &fs::Metadata, path: impl Fn() -> PathBuf) -> Result<Found, Failure> {
        let metadata = self.metadata(stat, &path)?;
        let file_type = stat.file_type();
        let what = if file_type.is_dir() {
            What::Directory
        } else if file_type.is_file() {
            let data = self.data(stat, path)?;
            let size = stat.size();
            What::File { size, data }
        } else if file_type.is_symlink() {
            What::Other(symlink(&path())?)
        } else if file_type.is_fifo() {
            What::Other(Kind::Fifo)
        } else if file_type.is_socket() {
            What::Other(Kind::Socket)
        } else if file_type.is_char_device() {
            What::Other(Kind::CharacterDevice(device(stat)?))
        } else {
            What::Other(Kind::BlockDevice(device(stat)?))
        };
        // Of directories, links are those of the directories in them.
        let several = stat.nlink() > 1 && !file_type.is_dir();
        let shared = (self.policy.hard_links != HardLinks::Broken && several).then(|| Shared {
            device: stat.dev(),
            inode: stat.ino(),
            links: stat.nlink(),
        });
        Ok(Found {
            metadata,
            what,
            shared,
        })
    }

    fn metadata(
        self,
        stat: &fs::Metadata,
        path: impl Fn() -> PathBuf,
    ) -> Result<Metadata, Failure> {
        let invalid = |what: &str| ("reading the metadata of", io::Error::other(what.to_owned()));
        let mtime = match self.policy.mtime {
            Mtime::Fixed(time) => time,
            Mtime::Kept => Timestamp {
                seconds: stat.mtime(),
                nanoseconds: u32::try_from(stat.mtime_nsec())
                    .map_err(|_| invalid("its time has no valid nanoseconds"))?,
            },
        };
        let mut xattrs = Xattrs::default();
        if self.policy.xattrs {
            let found = xattrs::read(&path());
            xattrs = found
                .map_err(|cause| ("reading the extended attributes of", cause))?
                .into();
        }
        let mode =
            u16::try_from(stat.mode() & 0o7777).map_err(|_| invalid("its mode is no mode"))?;
        Ok(Metadata {
            mtime,
            xattrs,
            ..Metadata::new(mode)
        })
    }

    /// Checks that a regular file can be read, and looks for holes in it.
    fn data(
        self,
        stat: &fs::Metadata,
        path: impl Fn() -> PathBuf,
    ) -> Result<Option<Box<[DataRange]>>, Failure> {
        // Better now than when half of the image is written. Store files pass without a call.
        if stat.mode() & 0o444 != 0o444 {
            access(&path(), AccessFlags::R_OK).map_err(|cause| ("opening", cause.into()))?;
        }
        if !self.policy.holes || !holes::possible(stat) {
            return Ok(None);
        }
        let file = File::options()
            .read(true)
            // Not to hang if it has become a pipe.
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(path())
            .map_err(|cause| ("opening", cause))?;
        holes::data_ranges(&file, stat.size()).map_err(|cause| ("looking for holes in", cause))
    }
}

/// What was done and why it did not work.
type Failure = (&'static str, io::Error);

fn symlink(path: &Path) -> Result<Kind, Failure> {
    let target = fs::read_link(path).map_err(|cause| ("reading the symbolic link", cause))?;
    Ok(Kind::Symlink(target.into_os_string().into_vec().into()))
}

fn device(stat: &fs::Metadata) -> Result<Device, Failure> {
    let number = |number: u64| {
        u32::try_from(number)
            .map_err(|error| ("reading the device numbers of", io::Error::other(error)))
    };
    Ok(Device {
        major: number(major(stat.rdev()))?,
        minor: number(minor(stat.rdev()))?,
    })
}

/// Sorted by path.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| {
        let bytes = |problem: &Problem| problem.path.as_os_str().as_bytes().to_vec();
        bytes(a).cmp(&bytes(b))
    });
}
