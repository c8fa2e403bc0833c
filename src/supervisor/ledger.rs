//! What a build has made that must not stay: written down by the worker, removed by the supervisor.

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

/// Marks the output, which stays if the build succeeds.
const OUTPUT: u8 = b'o';
/// Marks what never stays.
const WORK: u8 = b'w';
/// Marks what was written down and is not ours after all.
const NOT_OURS: u8 = b'n';

/// The longest entry in bytes; a path is shorter (`PATH_MAX`).
const LONGEST: usize = 8192;

/// The worker's end.
#[derive(Debug)]
pub struct Ledger(UnixDatagram);

/// The supervisor's end.
#[derive(Debug)]
pub struct Entries(UnixDatagram);

/// Both ends of a new ledger. It keeps what is written down when the worker is gone.
///
/// # Errors
/// Those of socketpair(2).
pub fn open() -> Result<(Ledger, Entries)> {
    let (ours, theirs) = UnixDatagram::pair().context("making a socket for the supervisor")?;
    theirs
        .set_nonblocking(true)
        .context("preparing the supervisor's socket")?;
    Ok((Ledger(ours), Entries(theirs)))
}

impl Ledger {
    /// Makes the output directory `path`.
    ///
    /// # Errors
    /// If it can't be made, or anything of that name exists: that would not be ours to remove.
    pub(crate) fn make_output(&self, path: &Path) -> Result<()> {
        self.make(OUTPUT, path, 0o777)
            .with_context(|| format!("making the output directory {}", escape::path(path)))
    }

    /// Makes a directory for what is not part of the output. Others may enter it: `nixos-install`
    /// wants that of every parent of the root it installs to.
    ///
    /// # Errors
    /// If it can't be made.
    pub(crate) fn make_work_directory(&self) -> Result<PathBuf> {
        let name = || "making a work directory (TMPDIR says where)";
        let (_, path) = tempfile::Builder::new()
            .prefix("make-disk-image-")
            .make(|path| self.make(WORK, &std::path::absolute(path)?, 0o755))
            .with_context(name)?
            .keep()
            .with_context(name)?;
        std::path::absolute(path).with_context(name)
    }

    /// Makes the directory `path`. It is written down before: whatever ends this process between the
    /// two, nothing is left.
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
    /// Removes what is written down, but not the output if that is `whole`. What can't be removed is
    /// named in a warning.
    pub fn remove(&self, whole: bool) {
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
            if mark == OUTPUT && whole {
                continue;
            }
            if let Err(error) = remove::remove(&path) {
                log::warn!("{} is left behind: {error}", escape::path(&path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_a_whole_output_stays() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("out");
        for whole in [false, true] {
            let (ledger, entries) = open().unwrap();
            ledger.make_output(&path).unwrap();
            fs::write(path.join("half"), "x").unwrap();
            let work = ledger.make_work_directory().unwrap();
            fs::write(work.join("scratch"), "x").unwrap();
            drop(ledger);
            entries.remove(whole);
            assert_eq!(path.exists(), whole);
            assert!(!work.exists());
        }
        let (ledger, entries) = open().unwrap();
        let error = ledger.make_output(&path).unwrap_err().to_string();
        assert!(error.contains("making the output directory"), "{error}");
        // Somebody else was sooner.
        ledger.make(WORK, &path, 0o755).unwrap_err();
        entries.remove(false);
        assert!(path.exists());
        // The process ended before it had made it.
        ledger.write(WORK, &top.path().join("never made")).unwrap();
        entries.remove(false);
    }
}
