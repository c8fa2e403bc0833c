//! Removes files and directories, whatever their permissions.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Removes `path` and everything below it, including read-only directories, but not the targets of
/// symbolic links. It does nothing if `path` is missing. It needs little memory and few
/// descriptors, however deep the directories are.
///
/// # Errors
/// The first error. Everything that can be removed is removed anyway.
pub fn remove(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !kind.is_dir() {
        return fs::remove_file(path);
    }
    Emptying::empty(path)?;
    fs::remove_dir(path)
}

/// A directory that is being emptied. Subdirectories of its directories are moved up into it, so
/// that only two levels have to be open at a time.
struct Emptying {
    top: Dir,
    /// The names of its directories that have not been removed yet.
    waiting: Vec<CString>,
    moved: u64,
    failure: Option<Errno>,
}

impl Emptying {
    fn empty(path: &Path) -> nix::Result<()> {
        make_usable(AT_FDCWD, path);
        let mut top = open(AT_FDCWD, path)?;
        let mut emptying = Emptying {
            waiting: Vec::new(),
            moved: 0,
            failure: None,
            top: open(AT_FDCWD, path)?,
        };
        for (name, is_directory) in entries(&mut top)? {
            match is_directory {
                true => emptying.waiting.push(name),
                false => emptying.note(unlinkat(&top, &*name, UnlinkatFlags::NoRemoveDir)),
            }
        }
        while let Some(name) = emptying.waiting.pop() {
            let result = emptying.directory(&name);
            emptying.note(result);
        }
        emptying.failure.map_or(Ok(()), Err)
    }

    /// Removes a directory in `top`.
    fn directory(&mut self, name: &CString) -> nix::Result<()> {
        make_usable(&self.top, &**name);
        let mut directory = open(&self.top, &**name)?;
        for (name, is_directory) in entries(&mut directory)? {
            let result = match is_directory {
                true => self.move_up(&directory, name),
                false => unlinkat(&directory, &*name, UnlinkatFlags::NoRemoveDir),
            };
            self.note(result);
        }
        unlinkat(&self.top, &**name, UnlinkatFlags::RemoveDir)
    }

    fn move_up(&mut self, from: &Dir, name: CString) -> nix::Result<()> {
        // Moving a directory changes its ".." entry.
        make_usable(from, &*name);
        loop {
            let new = CString::new(format!(".moved-{}", self.moved)).unwrap_or_default();
            self.moved = self.moved.saturating_add(1);
            match renameat(from, &*name, &self.top, &*new) {
                Ok(()) => {
                    self.waiting.push(new);
                    return Ok(());
                }
                // An entry of that name exists.
                Err(Errno::EEXIST | Errno::ENOTEMPTY) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn note(&mut self, result: nix::Result<()>) {
        match result {
            // ENOENT: an empty directory that was replaced by a moved one.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => _ = self.failure.get_or_insert(errno),
        }
    }
}

/// Lets the owner of a directory list and change it. If that fails, the next operation reports it.
fn make_usable<P: ?Sized + nix::NixPath>(at: impl AsFd, path: &P) {
    let _ = fchmodat(at, path, Mode::S_IRWXU, FchmodatFlags::FollowSymlink);
}

fn open<P: ?Sized + nix::NixPath>(at: impl AsFd, path: &P) -> nix::Result<Dir> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Dir::openat(at, path, flags, Mode::empty())
}

/// The names in a directory, and whether they are directories.
fn entries(directory: &mut Dir) -> nix::Result<Vec<(CString, bool)>> {
    let mut found = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            found.push((name.to_owned(), entry.file_type()));
        }
    }
    let is_directory = |name: &CString, kind| match kind {
        Some(kind) => kind == Type::Directory,
        None => fstatat(&*directory, &**name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|found| SFlag::from_bits_truncate(found.st_mode) == SFlag::S_IFDIR),
    };
    let entries = found.into_iter().map(|(name, kind)| {
        let is = is_directory(&name, kind);
        (name, is)
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// Only meaningful for an ordinary user: root may remove everything.
    #[test]
    fn removes_read_only_directories_but_no_targets_of_links() {
        let top = tempfile::tempdir().unwrap();
        let kept = top.path().join("kept");
        let gone = top.path().join("gone");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        fs::create_dir_all(gone.join("a/b/c")).unwrap();
        fs::create_dir_all(gone.join(".moved-0/x")).unwrap();
        fs::create_dir_all(gone.join(".moved-1")).unwrap();
        fs::write(gone.join("a/b/file"), "").unwrap();
        symlink(&kept, gone.join("a/link")).unwrap();
        for (name, mode) in [("a/b/c", 0), ("a/b", 0o111), ("a", 0o555), ("", 0o555)] {
            fs::set_permissions(gone.join(name), Permissions::from_mode(mode)).unwrap();
        }
        remove(&gone).unwrap();
        remove(&gone).unwrap();
        assert!(!gone.exists());
        assert!(kept.join("file").exists());
    }

    /// More levels than a process has descriptors, and a path longer than the limit.
    #[test]
    fn removes_directories_of_any_depth() {
        let top = tempfile::tempdir().unwrap();
        let gone = top.path().join("gone");
        fs::create_dir(&gone).unwrap();
        let mut directory = open(AT_FDCWD, &gone).unwrap();
        // More levels than descriptors, and a path longer than the limit.
        let name = "d".repeat(20);
        for _ in 0..1200 {
            nix::sys::stat::mkdirat(&directory, name.as_str(), Mode::S_IRWXU).unwrap();
            directory = open(&directory, name.as_str()).unwrap();
        }
        drop(directory);
        remove(&gone).unwrap();
        assert!(!gone.exists());
    }

    #[test]
    fn removes_a_link_itself() {
        let top = tempfile::tempdir().unwrap();
        let link = top.path().join("link");
        symlink(top.path(), &link).unwrap();
        remove(&link).unwrap();
        assert!(top.path().exists() && link.symlink_metadata().is_err());
    }
}
