//! Checks the files that tools leave before they are used. The caller provides the tools: one may
//! be broken, or not be the expected program.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{escape, untrusted};

/// Opens the regular file `path`, which `tool` should have left, for reading and writing. It does
/// not follow symbolic links, and does not wait for the other end of a FIFO.
///
/// # Errors
/// If it is missing, is not a regular file, or cannot be opened.
pub fn open(path: &Path, tool: &str) -> Result<File> {
    let shown = escape::path(path);
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{tool} did not create {shown}, but exited with status 0")
        }
        Err(error) => return Err(error).with_context(|| format!("looking for {shown}")),
    };
    ensure!(
        kind.is_file(),
        "{tool} should have left a regular file at {shown}, but left {}",
        name(kind)
    );
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(untrusted::FLAGS.bits())
        .open(path)
        .with_context(|| format!("opening {shown}"))
}

/// Like [`open`], for a file of `length` bytes.
///
/// # Errors
/// As for [`open`], and if it has another length.
pub fn open_of_length(path: &Path, tool: &str, length: u64) -> Result<File> {
    let file = open(path, tool)?;
    let found = file
        .metadata()
        .context("getting the length of a file")?
        .len();
    ensure!(
        found == length,
        "{tool} should have left {length} bytes in {}, but left {found}",
        escape::path(path)
    );
    Ok(file)
}

/// Joins `root` and `below`, a relative path whose components are directories or missing.
///
/// # Errors
/// If a component is a symbolic link or anything else: `tool`, which could write to the root, must
/// not lead us out of it.
pub fn directory(root: &Path, below: &Path, tool: &str) -> Result<PathBuf> {
    let mut path = root.to_owned();
    for component in below {
        path.push(component);
        match fs::symlink_metadata(&path) {
            Ok(found) => ensure!(
                found.is_dir(),
                "{tool} should have left a directory at {}, but left {}",
                escape::path(&path),
                name(found.file_type())
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("looking for {}", escape::path(&path)));
            }
        }
    }
    Ok(path)
}

fn name(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_file() {
        "a regular file"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn opens_only_regular_files() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        fs::write(at("file"), "12345").unwrap();
        symlink("file", at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        open(&at("file"), "tool").unwrap();
        open_of_length(&at("file"), "tool", 5).unwrap();
        for (name, end) in [
            ("", "but left a directory"),
            ("link", "but left a symbolic link"),
            ("fifo", "but left a FIFO"),
            ("gone", "gone, but exited with status 0"),
        ] {
            let error = open(&at(name), "tool").unwrap_err().to_string();
            assert!(
                error.starts_with("tool ") && error.ends_with(end),
                "{error}"
            );
        }
        let error = open_of_length(&at("file"), "tool", 6).unwrap_err();
        assert!(error.to_string().ends_with("but left 5"), "{error}");
    }

    #[test]
    fn rejects_paths_through_symbolic_links() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("a/b")).unwrap();
        symlink("/etc", top.path().join("a/link")).unwrap();
        for below in ["a/b", "a/b/missing/too", "x"] {
            assert_eq!(
                directory(top.path(), Path::new(below), "tool").unwrap(),
                top.path().join(below)
            );
        }
        let error = directory(top.path(), Path::new("a/link/x"), "tool").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("a/link, but left a symbolic link"),
            "{error}"
        );
    }
}
