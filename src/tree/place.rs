//! Resolves paths inside a [`Tree`], as a process with the tree as its root would.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use anyhow::{Result, bail};

use super::{Directory, Inode, InodeId, Kind, Metadata, Tree};
use crate::escape;

/// How many symlinks a path may pass through; the limit of Linux, path_resolution(7).
const MAX_SYMLINKS: u32 = 40;

/// Creates the directory `path` and its missing parents, all with `metadata`, like `mkdir -p`.
/// Existing directories are not changed. Returns the directory.
///
/// Relative symlinks in the path are followed. Absolute symlinks and those that lead above the root
/// are rejected: for the program that created them, they point outside the tree.
///
/// # Errors
/// If a component of the path is not a directory, or is a symlink that leads nowhere or out of the
/// root.
pub fn make_directories(tree: &mut Tree, path: &Path, metadata: &Metadata) -> Result<InodeId> {
    let mut route = Route::new(path)?;
    while let Some(step) = route.next(tree)? {
        let directory = Inode {
            metadata: metadata.clone(),
            kind: Kind::Directory(Directory::default()),
        };
        let id = tree.insert(route.current(), &step, directory)?;
        route.enter(step, id);
    }
    Ok(route.current())
}

/// Returns the directory `path`, following symlinks like [`make_directories`]; `None` if it does
/// not exist.
///
/// # Errors
/// As [`make_directories`].
pub(crate) fn find_directory(tree: &Tree, path: &Path) -> Result<Option<InodeId>> {
    let mut route = Route::new(path)?;
    match route.next(tree)? {
        Some(_) => Ok(None),
        None => Ok(Some(route.current())),
    }
}

/// A path that is being resolved.
struct Route<'a> {
    whole: &'a Path,
    /// The directories from the root to the current one.
    passed: Vec<(Vec<u8>, InodeId)>,
    /// The remaining names, the next one last, and whether each comes from a symlink.
    ahead: Vec<(Vec<u8>, bool)>,
    symlinks: u32,
}

impl<'a> Route<'a> {
    fn new(whole: &'a Path) -> Result<Route<'a>> {
        let mut ahead = Vec::new();
        for component in whole.components() {
            match component {
                Component::Normal(name) => ahead.push((name.as_bytes().to_vec(), false)),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => bail!(
                    "the target {} contains \"..\"; write the path without it",
                    escape::path(whole)
                ),
            }
        }
        ahead.reverse();
        Ok(Route {
            whole,
            passed: Vec::new(),
            ahead,
            symlinks: 0,
        })
    }

    fn current(&self) -> InodeId {
        self.passed.last().map_or(InodeId::ROOT, |(_, id)| *id)
    }

    fn enter(&mut self, name: Vec<u8>, id: InodeId) {
        self.passed.push((name, id));
    }

    /// Continues to the end of the path or to the first missing name, and returns that name.
    fn next(&mut self, tree: &Tree) -> Result<Option<Vec<u8>>> {
        while let Some((name, from_symlink)) = self.ahead.pop() {
            if name == b".." {
                if self.passed.pop().is_none() {
                    return self.reject(&name, "a symbolic link that leads out of the root");
                }
                continue;
            }
            let Some(id) = tree.lookup(self.current(), &name) else {
                if from_symlink {
                    return self.reject(&name, "the missing target of a symbolic link");
                }
                return Ok(Some(name));
            };
            match &tree.inode(id).kind {
                Kind::Directory(_) => self.enter(name, id),
                Kind::Symlink(target) => self.follow(&name, target)?,
                _ => return self.reject(&name, "which is not a directory"),
            }
        }
        Ok(None)
    }

    fn follow(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        let link = format!("a symbolic link to {}", escape::bytes(target));
        self.symlinks += 1;
        if target.starts_with(b"/") {
            return self.reject(
                name,
                &format!("{link}, which is absolute and leads out of the root"),
            );
        }
        if self.symlinks > MAX_SYMLINKS {
            return self.reject(
                name,
                &format!("{link}, one of more than {MAX_SYMLINKS} on the path"),
            );
        }
        let depth = target.split(|&byte| byte == b'/').try_fold(
            self.passed.len(),
            |depth, name| match name {
                b".." => depth.checked_sub(1),
                b"" | b"." => Some(depth),
                _ => Some(depth + 1),
            },
        );
        if depth.is_none() {
            return self.reject(name, &format!("{link}, which leads out of the root"));
        }
        let names = target
            .split(|&byte| byte == b'/')
            .filter(|name| !matches!(*name, b"" | b"."));
        self.ahead
            .extend(names.rev().map(|name| (name.to_vec(), true)));
        Ok(())
    }

    fn reject<T>(&self, name: &[u8], reason: &str) -> Result<T> {
        let mut at = Vec::new();
        for (name, _) in &self.passed {
            at.push(b'/');
            at.extend_from_slice(name);
        }
        at.push(b'/');
        at.extend_from_slice(name);
        bail!(
            "the target {} passes through {}, {reason}; use a path of directories only",
            escape::path(&Path::new("/").join(self.whole)),
            escape::path(Path::new(OsStr::from_bytes(&at)))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Content;
    use super::super::listing::listing;
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(Metadata::new(0o755));
        let run =
            make_directories(&mut tree, Path::new("/run/lock"), &Metadata::new(0o700)).unwrap();
        let var = make_directories(&mut tree, Path::new("var"), &Metadata::new(0o755)).unwrap();
        let links: [(InodeId, &[u8], &[u8]); 7] = [
            (var, b"run", b"../run"),
            (var, b"absolute", b"/run"),
            (var, b"above", b"../../run"),
            (run, b"home", b"../../var/.."),
            (var, b"gone", b"nowhere/at"),
            (var, b"self", b"self"),
            (InodeId::ROOT, b"up", b"x/../.."),
        ];
        for (parent, name, target) in links {
            let inode = Inode {
                metadata: Metadata::new(0o777),
                kind: Kind::Symlink(target.into()),
            };
            tree.insert(parent, name, inode).unwrap();
        }
        let file = Inode {
            metadata: Metadata::new(0o644),
            kind: Kind::File(Content::bytes(Vec::new())),
        };
        tree.insert(InodeId::ROOT, b"file", file).unwrap();
        tree
    }

    #[test]
    fn follows_links_inside_the_root_and_creates_directories() {
        let mut tree = tree();
        let metadata = Metadata::new(0o711);
        let directory = make_directories(
            &mut tree,
            Path::new("/var/run/lock/home/var/new/er"),
            &metadata,
        );
        let found = find_directory(&tree, Path::new("var/new/er")).unwrap();
        assert_eq!(Some(directory.unwrap()), found);
        assert_eq!(
            find_directory(&tree, Path::new("/var/none/x")).unwrap(),
            None
        );
        let text = listing(&tree);
        for line in [
            "directory 0700 0:0 1.000000000 /run/lock\n",
            "directory 0711 0:0 1.000000000 /var/new\n",
            "directory 0711 0:0 1.000000000 /var/new/er\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn rejects_impassable_paths_and_names_the_component() {
        for (path, message) in [
            ("a/../b", "the target a/../b contains \"..\";"),
            (
                "file/x",
                "the target /file/x passes through /file, which is not a directory",
            ),
            (
                "/var/absolute/x",
                "passes through /var/absolute, a symbolic link to /run, which is absolute and leads out of the root",
            ),
            (
                "var/above",
                "passes through /var/above, a symbolic link to ../../run, which leads out of the root",
            ),
            (
                "var/gone/x",
                "passes through /var/nowhere, the missing target of a symbolic link",
            ),
            (
                "var/self/x",
                "passes through /var/self, a symbolic link to self, one of more than 40 on the path",
            ),
            (
                "up/x",
                "passes through /up, a symbolic link to x/../.., which leads out of the root",
            ),
        ] {
            let mut tree = tree();
            let before = listing(&tree);
            let error = make_directories(&mut tree, Path::new(path), &Metadata::new(0o755))
                .unwrap_err()
                .to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(listing(&tree), before);
        }
    }
}
