//! Opening directories that were listed earlier.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

use crate::escape;
use crate::fs::regular::changed;
use crate::tree::ListedPath;

const DIRECTORY: OFlag = OFlag::O_PATH
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Opens the directory `listed`, so that its entries can be opened.
///
/// # Errors
/// If it can't be opened, or if something on its path is not a directory any more: a symbolic link
/// in place of a directory would lead to files that were never listed.
pub fn open(listed: &ListedPath) -> Result<OwnedFd> {
    let (given, rest) = listed.parts();
    let opened = openat(AT_FDCWD, given, DIRECTORY, Mode::empty()).and_then(|given| {
        match rest.as_os_str().is_empty() {
            true => Ok(given),
            false => below(&given, rest),
        }
    });
    let path = || escape::path(listed.as_path());
    opened.map_err(|errno| match errno {
        Errno::ENOENT => changed(format!(
            "{} existed when it was listed, but does not now",
            path()
        )),
        Errno::ELOOP | Errno::ENOTDIR => changed(format!(
            "the path to {} consisted of directories when it was listed, but now contains a symbolic \
             link or a file",
            path()
        )),
        errno => anyhow!(io::Error::from(errno)).context(format!("opening {}", path())),
    })
}

/// Opens the directory `path` below `top` without following any symbolic link.
fn below(top: &OwnedFd, path: &Path) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(DIRECTORY)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(top, path, how) {
        // Before Linux 5.6, and where a system call filter does not know `openat2`.
        Err(Errno::ENOSYS | Errno::EPERM) => step_by_step(top, path),
        opened => opened,
    }
}

/// Like [`below`], with one call for each name.
fn step_by_step(top: &OwnedFd, path: &Path) -> nix::Result<OwnedFd> {
    let mut names = path.iter();
    let first = names.next().unwrap_or_default();
    let mut here = openat(top, first, DIRECTORY, Mode::empty())?;
    for name in names {
        here = openat(here.as_fd(), name, DIRECTORY, Mode::empty())?;
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn follows_no_symbolic_link_below_the_given_directory() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("real/a/b/c")).unwrap();
        symlink("real", top.path().join("given")).unwrap();
        symlink("b", top.path().join("real/a/link")).unwrap();
        for (given, rest, is_open) in [
            ("given/", "", true),
            ("given/", "a/b/c", true),
            ("real", "a/b/c", true),
            ("given", "", false),
            ("given", "a/b/c", false),
            ("real", "a/link", false),
            ("real", "a/link/c", false),
            ("real", "a/none", false),
        ] {
            let mut listed = ListedPath::new(&top.path().join(given));
            for name in Path::new(rest) {
                listed = listed.join(name);
            }
            assert_eq!(listed.parts(), (&*top.path().join(given), Path::new(rest)));
            let opened = open(&listed);
            assert_eq!(opened.is_ok(), is_open, "{given} {rest}: {opened:?}");
            if rest.is_empty() || given == "given" {
                continue;
            }
            let top = openat(AT_FDCWD, &top.path().join(given), DIRECTORY, Mode::empty());
            let slow = step_by_step(&top.unwrap(), Path::new(rest));
            assert_eq!(slow.is_ok(), is_open, "{given} {rest}: {slow:?}");
        }
    }
}
