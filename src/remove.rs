//! Removing files and directories, whatever they let their owner do.

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

/// Removes `path` and all that is below it, read-only directories too, and no target of a symbolic
/// link; does nothing where it is missing. It takes little memory and few descriptors, however deep
/// the directories are.
///
/// # Errors
/// The first error. What could be removed is removed all the same.
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

/// A directory while what is in it is removed: directories of directories are moved up into it, so
/// that nothing is deeper than in one directory of it.
struct Emptying {
    top: Dir,
    /// Names of directories in it that are still to be removed.
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

    /// Removes a directory of the top.
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
        // Its entry for the directory above is changed.
        make_usable(from, &*name);
        loop {
            let new = CString::new(format!(".moved-{}", self.moved)).unwrap_or_default();
            self.moved = self.moved.saturating_add(1);
            match renameat(from, &*name, &self.top, &*new) {
                Ok(()) => {
                    self.waiting.push(new);
                    return Ok(());
                }
                // One of that name was there before.
                Err(Errno::EEXIST | Errno::ENOTEMPTY) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn note(&mut self, result: nix::Result<()>) {
        match result {
            // An empty one that was replaced by another.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => _ = self.failure.get_or_insert(errno),
        }
    }
}

/// Lets the owner of a directory list and change it. Where that fails, what is done next tells.
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

    /// As an ordinary user: root may remove everything.
    #[test]
    fn what_is_read_only_goes_and_no_target_of_a_link() {
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

    /// More levels than a process has descriptors, and a longer path than there can be.
    #[test]
    fn depth_does_not_matter() {
        let top = tempfile::tempdir().unwrap();
        let gone = top.path().join("gone");
        fs::create_dir(&gone).unwrap();
        let mut directory = open(AT_FDCWD, &gone).unwrap();
        // More levels than descriptors, and more bytes than a path may have.
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
    fn a_link_itself_is_removed() {
        let top = tempfile::tempdir().unwrap();
        let link = top.path().join("link");
        symlink(top.path(), &link).unwrap();
        remove(&link).unwrap();
        assert!(top.path().exists() && link.symlink_metadata().is_err());
    }
}
