//! `$out` itself: there when everything went well, and only then.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::escape;

/// What a signal that ends us has to remove first: outputs and work directories.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

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
        fs::create_dir(path)
            .with_context(|| format!("making the output directory {}", escape::path(path)))?;
        Ok(Directory::guard(path))
    }

    /// Takes charge of a directory that exists.
    pub fn guard(path: &Path) -> Directory {
        lock().push(path.to_owned());
        Directory {
            path: path.to_owned(),
            kept: false,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It is whole: it stays.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        lock().retain(|path| *path != self.path);
        if !self.kept {
            remove(&self.path);
        }
    }
}

/// Removes everything unfinished: for the moment before we end by a signal.
pub(crate) fn remove_unfinished() {
    for path in lock().drain(..) {
        remove(&path);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    // A list of paths is sound whatever the thread that panicked was doing.
    UNFINISHED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn remove(path: &Path) {
    // Another thread may still be writing there, and its new file makes one attempt fail.
    for _ in 0..10 {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("{} is left behind: {error}", escape::path(path));
                return;
            }
            _ => return,
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
