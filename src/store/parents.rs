//! Makes the directories above the root accessible to all users, as `nixos-install` requires.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::escape;

/// Makes `work` (an absolute path without symbolic links) and the directories above it readable and
/// searchable by others. `nixos-install` requires this because a system whose root is not
/// accessible to other users is unusable, and it cannot distinguish a build directory from a mount
/// point.
///
/// Only our own directories are changed: `work`, and those within `build_top`, the build directory
/// created by Nix.
///
/// # Errors
/// If a mode cannot be changed, or if directories that are not ours are inaccessible to others; the
/// message lists them.
pub(super) fn open_up(work: &Path, build_top: Option<&Path>) -> Result<()> {
    let build_top = build_top.and_then(|top| fs::canonicalize(top).ok());
    let mut strict = Vec::new();
    for directory in work.ancestors().filter(|path| path.parent().is_some()) {
        let mode = fs::metadata(directory)
            .with_context(|| format!("reading the mode of {}", escape::path(directory)))?
            .mode();
        // nixos-install compares the last octal digit with 5 (r-x).
        if mode & 0o7 >= 5 {
            continue;
        }
        let ours = directory == work
            || build_top
                .as_deref()
                .is_some_and(|top| directory.starts_with(top));
        if ours {
            fs::set_permissions(directory, Permissions::from_mode(0o755)).with_context(|| {
                format!(
                    "opening {} to other users (mode {:o} to 755), as nixos-install requires",
                    escape::path(directory),
                    mode & 0o7777
                )
            })?;
        } else {
            strict.push(format!(
                "{} (mode {:o}, owner {})",
                escape::path(directory),
                mode & 0o7777,
                owner_of(directory)
            ));
        }
    }
    if strict.is_empty() {
        return Ok(());
    }
    bail!(
        "nixos-install refuses to work in {}: other users cannot read and enter {}; \
         run `chmod o+rx` on the listed directories, or set TMPDIR to a directory that all users \
         can enter, such as /tmp",
        escape::path(work),
        strict.join(", ")
    )
}

fn owner_of(directory: &Path) -> String {
    fs::metadata(directory).map_or_else(|_| "unknown".to_owned(), |m| m.uid().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn opens_only_our_own_directories() {
        let outer = tempfile::tempdir().unwrap();
        fs::set_permissions(outer.path(), Permissions::from_mode(0o755)).unwrap();
        let outer = fs::canonicalize(outer.path()).unwrap();
        let top = outer.join("top");
        let work = top.join("between/work");
        fs::create_dir_all(&work).unwrap();
        for directory in [&top, &top.join("between"), &work] {
            fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
        }

        let error = open_up(&work, None).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "nixos-install refuses to work in {work}: other users cannot read and \
                 enter {top}/between (mode 700, owner {uid}), {top} (mode 700, owner {uid}); \
                 run `chmod o+rx` on the listed directories, or set TMPDIR to a directory that all \
                 users can enter, such as /tmp",
                work = work.display(),
                top = top.display(),
                uid = fs::metadata(&top).unwrap().uid(),
            )
        );
        assert_eq!((mode(&top), mode(&work)), (0o700, 0o755));

        open_up(&work, Some(&top)).unwrap();
        assert_eq!((mode(&top), mode(&top.join("between"))), (0o755, 0o755));
    }

    #[test]
    fn does_not_change_accessible_directories() {
        let outer = tempfile::tempdir().unwrap();
        let work = fs::canonicalize(outer.path()).unwrap();
        fs::set_permissions(&work, Permissions::from_mode(0o1777)).unwrap();
        open_up(&work, None).unwrap();
        assert_eq!(mode(&work), 0o1777);
    }
}
