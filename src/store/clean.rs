//! Deletes files that Nix and `nixos-install` leave in a root but that must not be in an image.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{absent, escape, leftover, remove};

/// The program that creates a root, for messages.
pub(super) const INSTALL: &str = "nixos-install";

/// Deletes from `root` what depends on the user, directory and time of the build. Nix recreates all
/// of it on demand, and treats profiles as garbage collector roots without the links.
pub(super) fn clean(root: &Path) -> Result<()> {
    let state = leftover::directory(root, Path::new("nix/var/nix"), INSTALL)?;
    for name in [
        "gcroots/auto",
        "temproots",
        "gcroots/per-user",
        "profiles/per-user",
        "db",
    ] {
        leftover::directory(&state, Path::new(name), INSTALL)?;
    }
    // Links to the build directory, named after hashes of its path, and locks named after
    // processes.
    for name in ["gcroots/auto", "temproots"] {
        for entry in names(&state.join(name))? {
            remove(&state.join(name).join(entry))?;
        }
    }
    remove(&state.join("gcroots/profiles"))?;
    // Empty directories named after the user who ran nixos-install. With a channel, the directory
    // is not empty.
    for name in ["gcroots/per-user", "profiles/per-user"] {
        for user in names(&state.join(name))? {
            let directory = state.join(name).join(user);
            if names(&directory)?.is_empty() {
                remove(&directory)?;
            }
        }
    }
    // 8 MiB that allow a garbage collection on a full disk; Nix reserves them again when it starts.
    remove(&state.join("db/reserved"))
}

/// Returns the names in `directory`, sorted; empty if it does not exist.
pub(super) fn names(directory: &Path) -> Result<Vec<OsString>> {
    absent::names(directory).with_context(|| format!("listing {}", escape::path(directory)))
}

/// Deletes `path` and everything below it, even in read-only directories; does nothing if it does
/// not exist.
pub(super) fn remove(path: &Path) -> Result<()> {
    remove::remove(path).with_context(|| format!("deleting {}", escape::path(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn deletes_empty_user_directories_and_keeps_profiles() {
        let top = tempfile::tempdir().unwrap();
        let profiles = top.path().join("nix/var/nix/profiles/per-user");
        for user in ["alice", "root"] {
            fs::create_dir_all(profiles.join(user)).unwrap();
        }
        symlink("channels-1-link", profiles.join("root/channels")).unwrap();
        clean(top.path()).unwrap();
        assert_eq!(names(&profiles).unwrap(), ["root"]);
        assert_eq!(names(&profiles.join("root")).unwrap(), ["channels"]);
    }
}
