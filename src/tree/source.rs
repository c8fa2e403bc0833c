//! The sources of the bytes of files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::{Name, Names};

/// The source of a file's bytes.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file on the host.
    File(SourceFile),
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
}

/// The path of a file: its directory, which is shared by all files in it, and its name.
#[derive(Debug, Clone)]
pub struct SourceFile {
    directory: Arc<SourceDirectory>,
    name: Name,
    time: i64,
}

/// A directory on the host and the names in it.
#[derive(Debug)]
pub(crate) struct SourceDirectory {
    path: ListedPath,
    change_check: ChangeCheck,
    names: Names,
}

/// The path of a listed directory. The first part was given by the caller and may pass through
/// symbolic links. All following components were directories when they were listed.
#[derive(Debug, Clone)]
pub(crate) struct ListedPath {
    path: Arc<Path>,
    /// Length of the given part in bytes.
    given: usize,
}

/// How it is detected that a file has changed since it was listed, in addition to its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeCheck {
    /// By the length only: no other process uses the file.
    Length,
    /// By the modification time. For store paths: Nix may hard-link equal files at any time, which
    /// updates the change time.
    Mtime,
    /// By the change time, which a program cannot set.
    Ctime,
}

/// Seconds since 1970 and nanoseconds, as stat(2) has them.
pub type Time = (i64, i64);

impl ChangeCheck {
    /// The time that must not change, as a number that can only be compared for equality.
    pub fn time(self, mtime: Time, ctime: Time) -> i64 {
        let (seconds, nanoseconds) = match self {
            ChangeCheck::Length => (0, 0),
            ChangeCheck::Mtime => mtime,
            ChangeCheck::Ctime => ctime,
        };
        // Unique within some 500 years, which is sufficient.
        seconds
            .wrapping_mul(1_000_000_000)
            .wrapping_add(nanoseconds)
    }
}

impl ListedPath {
    /// The directory `path`, which must not be a symbolic link unless it ends in a slash.
    pub fn new(path: &Path) -> ListedPath {
        ListedPath {
            given: path.as_os_str().len(),
            path: path.into(),
        }
    }

    /// The directory `path`, which may be a symbolic link to a directory.
    pub fn followed(path: &Path) -> ListedPath {
        // An empty path is the current directory.
        let here = path.as_os_str().is_empty();
        ListedPath::new(&if here { Path::new(".") } else { path }.join(""))
    }

    /// The subdirectory `name`.
    pub fn join(&self, name: &OsStr) -> ListedPath {
        ListedPath {
            path: self.path.join(name).into(),
            given: self.given,
        }
    }

    /// The whole path.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// The given part, and the rest, which is empty or a relative path.
    pub fn parts(&self) -> (&Path, &Path) {
        let (given, rest) = self.path.as_os_str().as_bytes().split_at(self.given);
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        let path = |bytes| Path::new(OsStr::from_bytes(bytes));
        (path(given), path(rest))
    }
}

impl SourceDirectory {
    /// Its path.
    pub fn path(&self) -> &ListedPath {
        &self.path
    }

    /// How changes of its files are detected.
    pub fn change_check(&self) -> ChangeCheck {
        self.change_check
    }

    /// The directory `path` with the files `names`.
    pub(crate) fn new(
        path: ListedPath,
        names: Names,
        change_check: ChangeCheck,
    ) -> Arc<SourceDirectory> {
        Arc::new(SourceDirectory {
            path,
            change_check,
            names,
        })
    }

    /// The file `name` in this directory; `time` is the current result of [`ChangeCheck::time`].
    pub(crate) fn file(self: &Arc<Self>, name: Name, time: i64) -> SourceFile {
        SourceFile {
            directory: self.clone(),
            name,
            time,
        }
    }
}

impl SourceFile {
    /// The file `name` in `directory`, which must not change.
    pub fn new(directory: Arc<Path>, name: &OsStr) -> SourceFile {
        SourceFile::checked(&directory, name, ChangeCheck::Length, 0)
    }

    /// The file `name` in `directory`; `time` is the current result of [`ChangeCheck::time`].
    pub(crate) fn checked(
        directory: &Path,
        name: &OsStr,
        change_check: ChangeCheck,
        time: i64,
    ) -> SourceFile {
        let mut names = Names::default();
        // No file system allows names of 4 GiB. With an empty name, opening the file fails because
        // it is a directory.
        let name = names.add(name.as_bytes()).unwrap_or_default();
        SourceDirectory::new(ListedPath::followed(directory), names, change_check).file(name, time)
    }

    /// The directory that contains the file; files that were listed together share it.
    pub(crate) fn directory(&self) -> &Arc<SourceDirectory> {
        &self.directory
    }

    /// The name of the file in its directory.
    pub(crate) fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.directory.names.get(self.name))
    }

    /// The whole path.
    pub fn path(&self) -> PathBuf {
        self.directory.path.as_path().join(self.name())
    }

    /// The result of [`ChangeCheck::time`] when the file was listed.
    pub(crate) fn time(&self) -> i64 {
        self.time
    }
}
