//! Where the bytes of a file are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::{Name, Names};

/// Where bytes come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file on this machine.
    File(SourceFile),
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
}

/// The path of a file: its directory, shared by all files of it, and its name.
#[derive(Debug, Clone)]
pub struct SourceFile {
    directory: Arc<SourceDirectory>,
    name: Name,
    time: i64,
}

/// A directory on this machine and names in it.
#[derive(Debug)]
pub(crate) struct SourceDirectory {
    path: ListedPath,
    change_check: ChangeCheck,
    names: Names,
}

/// The path of a directory that was listed. Its front part was given to us and may lead through
/// symbolic links; all behind that were directories when they were listed.
#[derive(Debug, Clone)]
pub(crate) struct ListedPath {
    path: Arc<Path>,
    /// Length of the front part in bytes.
    given: usize,
}

/// By what it is known, besides its length, that a file has changed since it was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeCheck {
    /// By nothing: nobody else knows of the file.
    Length,
    /// By the time of the last change of its bytes. For store paths: to Nix, linking equal files
    /// with each other is no change, and the other time tells of that as well.
    Mtime,
    /// By the time of the last change of anything about it, which no program can set back.
    Ctime,
}

/// Seconds since 1970 and nanoseconds, as stat(2) has them.
pub type Time = (i64, i64);

impl ChangeCheck {
    /// The time that has to stay as it is, as a number that is of use only to be compared.
    pub fn time(self, mtime: Time, ctime: Time) -> i64 {
        let (seconds, nanoseconds) = match self {
            ChangeCheck::Length => (0, 0),
            ChangeCheck::Mtime => mtime,
            ChangeCheck::Ctime => ctime,
        };
        // Different within some 500 years, which is near enough.
        seconds
            .wrapping_mul(1_000_000_000)
            .wrapping_add(nanoseconds)
    }
}

impl ListedPath {
    /// The directory `path`, which is no symbolic link, unless a slash ends it.
    pub fn new(path: &Path) -> ListedPath {
        ListedPath {
            given: path.as_os_str().len(),
            path: path.into(),
        }
    }

    /// The directory `path`, which may be a symbolic link to it.
    pub fn followed(path: &Path) -> ListedPath {
        // No name at all is where we are.
        let here = path.as_os_str().is_empty();
        ListedPath::new(&if here { Path::new(".") } else { path }.join(""))
    }

    /// A directory in it.
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

    /// The part that was given, and the rest, which is empty or a relative path.
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

    /// By what changes of its files are noticed.
    pub fn change_check(&self) -> ChangeCheck {
        self.change_check
    }

    /// The directory `path`, in which `names` are.
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

    /// A file in it, with what [`ChangeCheck::time`] says of it now.
    pub(crate) fn file(self: &Arc<Self>, name: Name, time: i64) -> SourceFile {
        SourceFile {
            directory: self.clone(),
            name,
            time,
        }
    }
}

impl SourceFile {
    /// The file `name` in `directory`, which nobody changes.
    pub fn new(directory: Arc<Path>, name: &OsStr) -> SourceFile {
        SourceFile::checked(&directory, name, ChangeCheck::Length, 0)
    }

    /// The file `name` in `directory`, with what [`ChangeCheck::time`] says of it now.
    pub(crate) fn checked(
        directory: &Path,
        name: &OsStr,
        change_check: ChangeCheck,
        time: i64,
    ) -> SourceFile {
        let mut names = Names::default();
        // No file system has a name of 4 GiB; without one, the file is found to be a directory.
        let name = names.add(name.as_bytes()).unwrap_or_default();
        SourceDirectory::new(ListedPath::followed(directory), names, change_check).file(name, time)
    }

    /// The directory it is in; files found together share one.
    pub(crate) fn directory(&self) -> &Arc<SourceDirectory> {
        &self.directory
    }

    /// Its name in the directory.
    pub(crate) fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.directory.names.get(self.name))
    }

    /// The whole path.
    pub fn path(&self) -> PathBuf {
        self.directory.path.as_path().join(self.name())
    }

    /// What [`ChangeCheck::time`] said of it when it was listed.
    pub(crate) fn time(&self) -> i64 {
        self.time
    }
}
