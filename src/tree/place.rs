//! Paths inside a [`Tree`], as a process whose root is the tree would find them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use anyhow::{Result, bail};

use super::{Directory, Inode, InodeId, Kind, Metadata, Tree};
use crate::escape;

/// How many symlinks one path may pass through; as many as Linux follows, path_resolution(7).
const MAX_SYMLINKS: u32 = 40;

/// Makes the directory `path` and those above it that are missing, all with `metadata`, as
/// `mkdir -p` does; a directory that is there stays as it is. Returns the directory.
///
/// Relative symlinks on the way are followed. Absolute ones are not, nor those that climb above
/// the root: to the program that made them they lead out of the tree.
///
/// # Errors
/// If something on the way is not a directory, or a symlink that leads nowhere or out of the root.
pub fn make_directories(tree: &mut Tree, path: &Path, metadata: &Metadata) -> Result<InodeId> {
    let mut route = Route::new(path)?;
    while let Some(step) = route.next(tree)? {
        let made = Inode {
            metadata: metadata.clone(),
            kind: Kind::Directory(Directory::default()),
        };
        let id = tree.insert(route.here(), &step, made)?;
        route.enter(step, id);
    }
    Ok(route.here())
}

/// The directory `path`, symlinks followed as [`make_directories`] does; `None` where there is
/// nothing.
///
/// # Errors
/// As [`make_directories`].
pub(crate) fn find_directory(tree: &Tree, path: &Path) -> Result<Option<InodeId>> {
    let mut route = Route::new(path)?;
    match route.next(tree)? {
        Some(_) => Ok(None),
        None => Ok(Some(route.here())),
    }
}

/// A path that is being walked.
struct Route<'a> {
    whole: &'a Path,
    /// The directories from the root to where we are.
    passed: Vec<(Vec<u8>, InodeId)>,
    /// Names still to walk, the next one last, and whether a symlink put them there.
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
                    "the target {} has \"..\" in it; write the path without it",
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

    fn here(&self) -> InodeId {
        self.passed.last().map_or(InodeId::ROOT, |(_, id)| *id)
    }

    fn enter(&mut self, name: Vec<u8>, id: InodeId) {
        self.passed.push((name, id));
    }

    /// Walks on to the end, or to the first name that is missing, which is returned.
    fn next(&mut self, tree: &Tree) -> Result<Option<Vec<u8>>> {
        while let Some((name, from_symlink)) = self.ahead.pop() {
            if name == b".." {
                if self.passed.pop().is_none() {
                    return self.refuse(&name, "a symbolic link that leads out of the root");
                }
                continue;
            }
            let Some(id) = tree.lookup(self.here(), &name) else {
                if from_symlink {
                    return self.refuse(&name, "where a symbolic link leads and nothing is");
                }
                return Ok(Some(name));
            };
            match &tree.inode(id).kind {
                Kind::Directory(_) => self.enter(name, id),
                Kind::Symlink(target) => self.follow(&name, target)?,
                _ => return self.refuse(&name, "not a directory"),
            }
        }
        Ok(None)
    }

    fn follow(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        let link = format!("the symbolic link -> {}", escape::bytes(target));
        self.symlinks += 1;
        if target.starts_with(b"/") {
            return self.refuse(
                name,
                &format!("{link}, which is absolute and so leads out of the root"),
            );
        }
        if self.symlinks > MAX_SYMLINKS {
            return self.refuse(
                name,
                &format!("{link}, one of more than {MAX_SYMLINKS} on the way"),
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
            return self.refuse(name, &format!("{link}, which leads out of the root"));
        }
        let names = target
            .split(|&byte| byte == b'/')
            .filter(|name| !matches!(*name, b"" | b"."));
        self.ahead
            .extend(names.rev().map(|name| (name.to_vec(), true)));
        Ok(())
    }

    fn refuse<T>(&self, name: &[u8], what: &str) -> Result<T> {
        let mut at = Vec::new();
        for (name, _) in &self.passed {
            at.push(b'/');
            at.extend_from_slice(name);
        }
        at.push(b'/');
        at.extend_from_slice(name);
        bail!(
            "the target {} passes through {}, which is {what}; name a path of directories",
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
    fn links_inside_are_followed_and_directories_made() {
        let mut tree = tree();
        let metadata = Metadata::new(0o711);
        let made = make_directories(
            &mut tree,
            Path::new("/var/run/lock/home/var/new/er"),
            &metadata,
        );
        let found = find_directory(&tree, Path::new("var/new/er")).unwrap();
        assert_eq!(Some(made.unwrap()), found);
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
    fn what_is_no_way_is_refused_by_name() {
        for (path, message) in [
            ("a/../b", "the target a/../b has \"..\" in it"),
            (
                "file/x",
                "the target /file/x passes through /file, which is not a directory",
            ),
            (
                "/var/absolute/x",
                "passes through /var/absolute, which is the symbolic link -> /run, which is absolute and so leads out of the root",
            ),
            (
                "var/above",
                "passes through /var/above, which is the symbolic link -> ../../run, which leads out of the root",
            ),
            (
                "var/gone/x",
                "passes through /var/nowhere, which is where a symbolic link leads and nothing is",
            ),
            (
                "var/self/x",
                "passes through /var/self, which is the symbolic link -> self, one of more than 40 on the way",
            ),
            (
                "up/x",
                "passes through /up, which is the symbolic link -> x/../.., which leads out of the root",
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
