//! What tools have left, looked at before it is used. A tool is the caller's: it may be broken, or be
//! another than it should be.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{escape, untrusted};

/// Opens the regular file `path`, which `tool` should have left, for reading and writing. It follows
/// no symbolic link, and waits for nobody at the other end of a FIFO.
///
/// # Errors
/// If it is missing, is anything else, or can't be opened.
pub fn open(path: &Path, tool: &str) -> Result<File> {
    let shown = escape::path(path);
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{tool} did not make {shown}, and yet its status was 0")
        }
        Err(error) => return Err(error).with_context(|| format!("looking for {shown}")),
    };
    ensure!(
        kind.is_file(),
        "{tool} should have left a regular file at {shown}, and left {}",
        name(kind)
    );
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(untrusted::FLAGS.bits())
        .open(path)
        .with_context(|| format!("opening {shown}"))
}

/// As [`open`], of a file that has `length` bytes.
///
/// # Errors
/// Also if it has more or less.
pub fn open_of_length(path: &Path, tool: &str, length: u64) -> Result<File> {
    let file = open(path, tool)?;
    let found = file.metadata().context("asking for a file's length")?.len();
    ensure!(
        found == length,
        "{tool} should have left {length} bytes in {}, and left {found}",
        escape::path(path)
    );
    Ok(file)
}

/// `root` with `below`, a relative path whose names are directories or missing.
///
/// # Errors
/// If one of them is a symbolic link or anything else: `tool`, which had the root, must not lead us
/// out of it.
pub fn directory(root: &Path, below: &Path, tool: &str) -> Result<PathBuf> {
    let mut path = root.to_owned();
    for component in below {
        path.push(component);
        match fs::symlink_metadata(&path) {
            Ok(found) => ensure!(
                found.is_dir(),
                "{tool} should have left a directory at {}, and left {}",
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
    fn only_a_regular_file_is_opened() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        fs::write(at("file"), "12345").unwrap();
        symlink("file", at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        open(&at("file"), "tool").unwrap();
        open_of_length(&at("file"), "tool", 5).unwrap();
        for (name, end) in [
            ("", "and left a directory"),
            ("link", "and left a symbolic link"),
            ("fifo", "and left a FIFO"),
            ("gone", "gone, and yet its status was 0"),
        ] {
            let error = open(&at(name), "tool").unwrap_err().to_string();
            assert!(
                error.starts_with("tool ") && error.ends_with(end),
                "{error}"
            );
        }
        let error = open_of_length(&at("file"), "tool", 6).unwrap_err();
        assert!(error.to_string().ends_with("and left 5"), "{error}");
    }

    #[test]
    fn a_path_below_leads_nowhere_else() {
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
                .ends_with("a/link, and left a symbolic link"),
            "{error}"
        );
    }
}
