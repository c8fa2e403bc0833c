//! The state of the root file system before the installation, to find out later what changed.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::{DirEntry, WalkDir};

use super::target::VIEW;
use crate::guest::protected::{Protected, Relation};

/// The state of a file. It differs after every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    mtime: (i64, i64),
    /// Programs cannot set it, so every change shows.
    ctime: (i64, i64),
}

impl State {
    /// Returns the state in `stat`.
    pub fn of(stat: &Metadata) -> State {
        State {
            inode: stat.ino(),
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            size: stat.size(),
            mtime: (stat.mtime(), stat.mtime_nsec()),
            ctime: (stat.ctime(), stat.ctime_nsec()),
        }
    }
}

/// Returns the state of every path of the root file system that is not protected.
pub fn take(protected: &Protected) -> Result<HashMap<PathBuf, State>> {
    let mut states = HashMap::new();
    walk(Path::new(VIEW), Some(protected), |path, stat| {
        states.insert(path.to_owned(), State::of(stat));
        Ok(())
    })?;
    Ok(states)
}

/// Calls `visit` with `top` (as the empty path) and every path below it, relative to it: parents first,
/// names sorted. Paths inside a `protected` one are left out.
pub fn walk(
    top: &Path,
    protected: Option<&Protected>,
    mut visit: impl FnMut(&Path, &Metadata) -> Result<()>,
) -> Result<()> {
    let wanted = |entry: &DirEntry| {
        let path = relative(entry, top).as_os_str().as_bytes();
        protected.is_none_or(|protected| protected.relation(path) != Relation::Inside)
    };
    let context = "listing the files of the image";
    let entries = WalkDir::new(top).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(wanted) {
        let entry = entry.context(context)?;
        let stat = entry.metadata().context(context)?;
        visit(relative(&entry, top), &stat)?;
    }
    Ok(())
}

fn relative<'a>(entry: &'a DirEntry, top: &Path) -> &'a Path {
    let path = entry.path();
    path.strip_prefix(top).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::guest::report::check::in_order;

    #[test]
    fn walks_in_the_order_of_a_report_without_protected_paths() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        for path in [
            "nix/store/a",
            "nix/var/nix/db",
            "lost+found",
            "etc/a",
            "etc-b",
        ] {
            fs::create_dir_all(top.join(path)).unwrap();
            fs::write(top.join(path).join("file"), "").unwrap();
        }
        std::os::unix::fs::symlink("nix", top.join("link")).unwrap();
        let walked = |protected| {
            let mut paths = Vec::new();
            walk(top, protected, |path, _| {
                paths.push(path.as_os_str().as_bytes().to_vec());
                Ok(())
            })
            .unwrap();
            assert!(paths.is_sorted_by(|a, b| in_order(a, b)), "{paths:?}");
            paths
                .iter()
                .map(|path| String::from_utf8_lossy(path).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(walked(None).len(), 17);
        assert_eq!(
            walked(Some(&Protected::new(Path::new("/nix/store")))),
            [
                "",
                "etc",
                "etc/a",
                "etc/a/file",
                "etc-b",
                "etc-b/file",
                "link",
                "nix",
                "nix/var",
                "nix/var/nix"
            ]
        );
    }
}
