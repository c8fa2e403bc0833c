//! `$out` itself: there when everything went well, and only then.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::escape;

/// What a signal that ends us has to know.
static STATE: Mutex<State> = Mutex::new(State {
    unfinished: Vec::new(),
    end: End::Open,
});

struct State {
    /// What has to be removed first: outputs and work directories.
    unfinished: Vec<PathBuf>,
    end: End,
}

/// How the build ends. Whoever comes first decides.
enum End {
    Open,
    /// The output is whole and stays: a signal comes too late.
    Kept,
    /// A signal ends us: no output stays.
    Signal,
}

/// A directory that is removed again unless [`Directory::keep`] is called.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    kept: bool,
}

impl Directory {
    /// Makes the directory `path`.
    ///
    /// # Errors
    /// If it can't be made, or anything of that name exists: that would not be ours to remove.
    pub fn create(path: &Path) -> Result<Directory> {
        if path.symlink_metadata().is_ok() {
            bail!(
                "the output {} exists already; remove it, or have Nix do it (nix-store --delete)",
                escape::path(path)
            );
        }
        Directory::make(|| {
            fs::create_dir(path)
                .with_context(|| format!("making the output directory {}", escape::path(path)))?;
            Ok(path.to_owned())
        })
    }

    /// Takes charge of the directory that `make` makes.
    ///
    /// # Errors
    /// Those of `make`, and if a signal is ending us.
    pub fn make(make: impl FnOnce() -> Result<PathBuf>) -> Result<Directory> {
        // Locked all the while: a signal finds all or nothing of it.
        let mut state = lock();
        if matches!(state.end, End::Signal) {
            bail!("the build is being ended by a signal");
        }
        let path = make()?;
        state.unfinished.push(path.clone());
        Ok(Directory { path, kept: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It is the output, and whole: it stays, unless a signal has come before.
    pub fn keep(mut self) {
        let mut state = lock();
        if !matches!(state.end, End::Signal) {
            state.end = End::Kept;
            self.kept = true;
        }
        drop(state);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It stays on the list until it is gone: a signal must not end us halfway.
        if !self.kept {
            remove(&self.path);
        }
        lock().unfinished.retain(|path| *path != self.path);
    }
}

/// Removes everything unfinished, for the moment before we end by a signal; false if the output is
/// whole already and we end by ourselves.
pub(crate) fn remove_unfinished() -> bool {
    let mut state = lock();
    if matches!(state.end, End::Kept) {
        return false;
    }
    state.end = End::Signal;
    for path in state.unfinished.drain(..) {
        remove(&path);
    }
    true
}

/// Whether the output is whole and stays.
pub(crate) fn kept() -> bool {
    matches!(lock().end, End::Kept)
}

fn lock() -> std::sync::MutexGuard<'static, State> {
    // A list of paths is sound whatever the thread that panicked was doing.
    STATE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn remove(path: &Path) {
    let mut attempts = 10;
    while let Err(error) = fs::remove_dir_all(path) {
        if path.symlink_metadata().is_err() {
            return;
        }
        attempts -= 1;
        // Another thread may still be writing there, or removing it as we do.
        let passing = [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotFound];
        if attempts == 0 || !passing.contains(&error.kind()) {
            log::warn!("{} is left behind: {error}", escape::path(path));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_kept_stays() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("out");
        let out = Directory::create(&path).unwrap();
        fs::write(out.path().join("half"), "x").unwrap();
        drop(out);
        assert!(!path.exists());
        Directory::create(&path).unwrap().keep();
        assert!(path.exists());
        let error = Directory::create(&path).unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
        assert!(path.exists());
    }
}
