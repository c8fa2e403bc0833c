//! What a build creates and must not leave: recorded by the worker, removed by the supervisor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{escape, remove};

/// Marks the output, which is kept if the build succeeds.
const OUTPUT: u8 = b'o';
/// Marks what is always removed.
const WORK: u8 = b'w';
/// Marks a path that was recorded, but not created by us.
const NOT_OURS: u8 = b'n';

/// The longest entry in bytes; a path is shorter (`PATH_MAX`).
const LONGEST: usize = 8192;

/// The worker's end.
#[derive(Debug)]
pub struct Ledger(UnixDatagram);

/// The supervisor's end.
#[derive(Debug)]
pub struct Entries(UnixDatagram);

/// Creates a ledger, and returns both ends. It keeps the records when the worker is gone.
///
/// # Errors
/// Those of socketpair(2).
pub fn open() -> Result<(Ledger, Entries)> {
    let (ours, theirs) = UnixDatagram::pair().context("creating a socket for the supervisor")?;
    theirs
        .set_nonblocking(true)
        .context("preparing the supervisor's socket")?;
    Ok((Ledger(ours), Entries(theirs)))
}

impl Ledger {
    /// Creates the output directory `path`.
    ///
    /// # Errors
    /// If it cannot be created, or something exists at `path`: that would not be ours to remove.
    pub(crate) fn make_output(&self, path: &Path) -> Result<()> {
        self.make(OUTPUT, path, 0o777)
            .with_context(|| format!("creating the output directory {}", escape::path(path)))
    }

    /// Creates a directory for what is not part of the output. Other users may enter it:
    /// `nixos-install` requires that of every parent of the root that it installs to.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(crate) fn make_work_directory(&self) -> Result<PathBuf> {
        let name = || "creating a work directory (in TMPDIR or /tmp)";
        let (_, path) = tempfile::Builder::new()
            .prefix("make-disk-image-")
            .make(|path| self.make(WORK, &std::path::absolute(path)?, 0o755))
            .with_context(name)?
            .keep()
            .with_context(name)?;
        std::path::absolute(path).with_context(name)
    }

    /// Creates the directory `path`. It is recorded first, so that nothing is left if this process
    /// is killed in between.
    fn make(&self, mark: u8, path: &Path, mode: u32) -> io::Result<()> {
        self.write(mark, path)?;
        DirBuilder::new().mode(mode).create(path).or_else(|error| {
            self.write(NOT_OURS, path)?;
            Err(error)
        })
    }

    fn write(&self, mark: u8, path: &Path) -> io::Result<()> {
        let entry = [&[mark], path.as_os_str().as_bytes()].concat();
        self.0.send(&entry).map(drop)
    }
}

impl Entries {
    /// Removes everything recorded, except the output if it is `complete`. A warning names what
    /// cannot be removed.
    pub fn remove(&self, complete: bool) {
        let mut entry = [0; LONGEST];
        let mut made = BTreeMap::new();
        while let Ok(length) = self.0.recv(&mut entry) {
            let Some((mark, path)) = entry[..length].split_first() else {
                continue;
            };
            let path = PathBuf::from(OsString::from_vec(path.to_vec()));
            match *mark {
                NOT_OURS => made.remove(&path),
                mark => made.insert(path, mark),
            };
        }
        for (path, mark) in made {
            if mark == OUTPUT && complete {
                continue;
            }
            if let Err(error) = remove::remove(&path) {
                log::warn!("could not remove {}: {error}", escape::path(&path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn keeps_only_a_complete_output() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("out");
        for complete in [false, true] {
            let (ledger, entries) = open().unwrap();
            ledger.make_output(&path).unwrap();
            fs::write(path.join("half"), "x").unwrap();
            let work = ledger.make_work_directory().unwrap();
            fs::write(work.join("scratch"), "x").unwrap();
            drop(ledger);
            entries.remove(complete);
            assert_eq!(path.exists(), complete);
            assert!(!work.exists());
        }
        let (ledger, entries) = open().unwrap();
        let error = ledger.make_output(&path).unwrap_err().to_string();
        assert!(error.contains("creating the output directory"), "{error}");
        // Another process was faster.
        ledger.make(WORK, &path, 0o755).unwrap_err();
        entries.remove(false);
        assert!(path.exists());
        // The process was killed before it created the directory.
        ledger.write(WORK, &top.path().join("never made")).unwrap();
        entries.remove(false);
    }
}
