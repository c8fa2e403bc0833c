//! What a build has made that must not stay: written down by the worker, removed by the supervisor.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{escape, remove};

/// Marks the output, which stays if the build succeeds.
const OUTPUT: u8 = b'o';
/// Marks what never stays.
const WORK: u8 = b'w';

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
    pub fn make_output(&self, path: &Path) -> Result<()> {
        if path.symlink_metadata().is_ok() {
            bail!(
                "the output {} exists already; remove it, or have Nix do it (nix-store --delete)",
                escape::path(path)
            );
        }
        let entry = entry(OUTPUT, path);
        fs::create_dir(path)
            .with_context(|| format!("making the output directory {}", escape::path(path)))?;
        self.write(&entry)
    }

    /// Makes a directory for what is not part of the output. Others may enter it: `nixos-install`
    /// wants that of every parent of the root it installs to.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn make_work_directory(&self) -> Result<PathBuf> {
        let directory = tempfile::Builder::new()
            .prefix("make-disk-image-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .context("making a work directory (TMPDIR says where)")?;
        let path = std::path::absolute(directory.keep()).context("finding the work directory")?;
        self.write(&entry(WORK, &path))?;
        Ok(path)
    }

    fn write(&self, entry: &[u8]) -> Result<()> {
        self.0
            .send(entry)
            .map(drop)
            .context("telling the supervisor what has to be removed")
    }
}

fn entry(mark: u8, path: &Path) -> Vec<u8> {
    [&[mark], path.as_os_str().as_bytes()].concat()
}

impl Entries {
    /// Removes what is written down, but not the output if that is `whole`. What can't be removed is
    /// named in a warning.
    pub fn remove(&self, whole: bool) {
        let mut entry = [0; LONGEST];
        while let Ok(length) = self.0.recv(&mut entry) {
            let Some((mark, path)) = entry[..length].split_first() else {
                continue;
            };
            if *mark == OUTPUT && whole {
                continue;
            }
            let path = PathBuf::from(OsString::from_vec(path.to_vec()));
            if let Err(error) = remove::remove(&path) {
                log::warn!("{} is left behind: {error}", escape::path(&path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(error.contains("exists already"), "{error}");
        entries.remove(false);
        assert!(path.exists());
    }
}
