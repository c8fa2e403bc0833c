//! What Nix and `nixos-install` leave in a root and an image must not have.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{absent, escape, leftover, remove};

/// Who leaves a root.
pub(super) const INSTALL: &str = "nixos-install";

/// Takes out of `root` what depends on who built where and when. Nix makes all of it again where
/// it needs it, and finds profiles as roots of the garbage collector without the links.
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
    // Links from and to the build directory, under hashes of its name; locks named after processes.
    for name in ["gcroots/auto", "temproots"] {
        for entry in names(&state.join(name))? {
            remove(&state.join(name).join(entry))?;
        }
    }
    remove(&state.join("gcroots/profiles"))?;
    // Empty directories named after the user who ran nixos-install. A channel's is not empty.
    for name in ["gcroots/per-user", "profiles/per-user"] {
        for user in names(&state.join(name))? {
            let directory = state.join(name).join(user);
            if names(&directory)?.is_empty() {
                remove(&directory)?;
            }
        }
    }
    // 8 MiB that let a garbage collection begin on a full disk: Nix reserves them when it starts.
    remove(&state.join("db/reserved"))
}

/// The names in `directory`, sorted; none where there is no such directory.
pub(super) fn names(directory: &Path) -> Result<Vec<OsString>> {
    absent::names(directory).with_context(|| format!("listing {}", escape::path(directory)))
}

/// Deletes `path` and all below it, read-only directories too; does nothing where it is missing.
pub(super) fn remove(path: &Path) -> Result<()> {
    remove::remove(path).with_context(|| format!("deleting {}", escape::path(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_of_users_go_and_their_profiles_stay() {
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
