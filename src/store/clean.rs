//! What Nix and `nixos-install` leave in a root and an image must not have.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::escape;

/// Takes out of `root` what depends on who built where and when. Nix makes all of it again where
/// it needs it, and finds profiles as roots of the garbage collector without the links.
pub(super) fn clean(root: &Path) -> Result<()> {
    let state = root.join("nix/var/nix");
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
    let read = || -> io::Result<Vec<OsString>> {
        let mut names = fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    };
    match read() {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.kind() == io::ErrorKind::NotADirectory =>
        {
            Ok(Vec::new())
        }
        other => other.with_context(|| format!("listing {}", escape::path(directory))),
    }
}

/// Deletes `path` and all below it, read-only directories too; does nothing where it is missing.
pub(super) fn remove(path: &Path) -> Result<()> {
    delete(path).with_context(|| format!("deleting {}", escape::path(path)))
}

fn delete(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    make_writable(path)?;
    fs::remove_dir_all(path)
}

/// Makes the directory `top` and all directories below it writable.
fn make_writable(top: &Path) -> io::Result<()> {
    // A list and not recursion: a store path may be deeper than the thread's stack.
    let mut directories = vec![top.to_owned()];
    while let Some(directory) = directories.pop() {
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn deletes_what_is_read_only_and_no_target_of_a_link() {
        let top = tempfile::tempdir().unwrap();
        let kept = top.path().join("kept");
        let gone = top.path().join("gone");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        fs::create_dir_all(gone.join("a/b")).unwrap();
        fs::write(gone.join("a/b/file"), "").unwrap();
        symlink(&kept, gone.join("a/link")).unwrap();
        for name in ["a/b", "a"] {
            fs::set_permissions(gone.join(name), Permissions::from_mode(0o555)).unwrap();
        }
        remove(&gone).unwrap();
        remove(&gone).unwrap();
        assert_eq!(names(top.path()).unwrap(), ["kept"]);
        assert_eq!(names(&kept).unwrap(), ["file"]);
    }

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
