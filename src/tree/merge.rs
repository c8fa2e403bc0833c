//! Putting one [`Tree`] into another where both may have the same names.

use std::mem;

use anyhow::{Context, Result, bail};

use super::{Directory, Inode, InodeId, Kind, Tree};
use crate::escape;

/// What happens where both trees have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// As `rsync -a` does: directories are merged and get the newcomer's metadata, everything else
    /// is replaced. A directory that has entries is not replaced by something else.
    Rsync,
    /// As if `nixos-install` had run in a directory where the other tree's files were already; see
    /// [`installed`].
    Install,
}

/// Puts what `nixos-install` left, `from`, into a tree that has the user's `contents` already. In
/// nixpkgs it runs when they are there:
///
/// * directories are merged. `mkdir -p` leaves one that exists as it is, so mode, time and
///   attributes stay; `install -d -m` does not, so a mode other than 0755 comes from `from`;
/// * a file or symlink of `from` replaces one that is there. A file that is empty was only touched
///   or locked, and what is in such a file already stays in it;
/// * both a directory and something else under one name is an error.
///
/// # Errors
/// With the path that is a directory in one tree only.
pub fn installed(into: &mut Tree, from: Tree) -> Result<()> {
    Transplant::new(from)
        .merge(
            into,
            InodeId::ROOT,
            (InodeId::ROOT, Vec::new()),
            Rule::Install,
        )
        .context("putting what nixos-install made into the image")
}

/// A tree whose parts move into another one.
pub struct Transplant {
    from: Tree,
    /// Where the inodes are now that have moved; more names of them may come.
    moved: Vec<Option<InodeId>>,
}

/// A directory and its path, without a leading slash, for messages.
type Place = (InodeId, Vec<u8>);

impl Transplant {
    /// Nothing has moved yet.
    pub fn new(from: Tree) -> Transplant {
        let moved = vec![None; from.inodes.len()];
        Transplant { from, moved }
    }

    /// The tree with what is left in it.
    pub fn remaining(&self) -> &Tree {
        &self.from
    }

    /// Moves everything in the directory `source` into the directory `target` of `into`.
    pub fn merge(
        &mut self,
        into: &mut Tree,
        source: InodeId,
        target: Place,
        rule: Rule,
    ) -> Result<()> {
        let mut pairs = vec![(source, target)];
        while let Some((source, (target, path))) = pairs.pop() {
            let entries = match &mut self.from.inode_mut(source).kind {
                Kind::Directory(entries) => mem::take(entries),
                _ => Directory::default(),
            };
            for (name, id) in entries.iter() {
                let mut path = path.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
                if let Some(existing) = into.lookup(target, name) {
                    let newcomer = self.from.inode(id);
                    match decide(into, existing, newcomer, rule, &path)? {
                        Decision::Keep => continue,
                        Decision::Descend => {
                            if rule == Rule::Rsync {
                                let metadata = newcomer.metadata.clone();
                                into.inode_mut(existing).metadata = metadata;
                            } else if newcomer.metadata.mode != 0o755 {
                                into.inode_mut(existing).metadata.mode = newcomer.metadata.mode;
                            }
                            pairs.push((id, (existing, path)));
                            continue;
                        }
                        Decision::Replace => into.unlink(target, name),
                    };
                }
                let new = self.take(into, id)?;
                into.link(target, name, new)
                    .with_context(|| format!("adding /{}", escape::bytes(&path)))?;
                if self.from.directory(id).is_some() {
                    pairs.push((id, (new, path)));
                }
            }
        }
        Ok(())
    }

    /// The inode of `into` that `id` is now; directories come without their entries.
    fn take(&mut self, into: &mut Tree, id: InodeId) -> Result<InodeId> {
        if let Some(new) = self.moved[id.index()] {
            return Ok(new);
        }
        let inode = self.from.inode_mut(id);
        let kind = match &mut inode.kind {
            Kind::Directory(_) => Kind::Directory(Directory::default()),
            // Any kind would do for what is never looked at again.
            other => mem::replace(other, Kind::Fifo),
        };
        let metadata = inode.metadata.clone();
        let new = into.push(Inode { metadata, kind })?;
        self.moved[id.index()] = Some(new);
        Ok(new)
    }
}

enum Decision {
    /// What is there stays, the newcomer is dropped.
    Keep,
    /// Both are directories: the entries decide.
    Descend,
    /// The newcomer takes the name.
    Replace,
}

fn decide(
    into: &Tree,
    existing: InodeId,
    newcomer: &Inode,
    rule: Rule,
    path: &[u8],
) -> Result<Decision> {
    let old = &into.inode(existing).kind;
    let new = &newcomer.kind;
    match (rule, old, new) {
        (_, Kind::Directory(_), Kind::Directory(_)) => Ok(Decision::Descend),
        (Rule::Rsync, Kind::Directory(entries), _) if !entries.is_empty() => bail!(
            "/{} is a directory with entries and can't be replaced by a {}; choose another target \
             for one of the two",
            escape::bytes(path),
            name(new)
        ),
        (Rule::Rsync, _, _) => Ok(Decision::Replace),
        (Rule::Install, Kind::Directory(_), _) | (Rule::Install, _, Kind::Directory(_)) => bail!(
            "/{} is a {} in `contents` and nixos-install makes a {} there; choose another target",
            escape::bytes(path),
            name(old),
            name(new)
        ),
        (Rule::Install, Kind::File(_), Kind::File(content)) if content.size == 0 => {
            Ok(Decision::Keep)
        }
        (Rule::Install, _, _) => Ok(Decision::Replace),
    }
}

fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory(_) => "directory",
        Kind::File(_) => "file",
        Kind::Symlink(_) => "symbolic link",
        Kind::Fifo => "named pipe",
        Kind::Socket => "socket",
        Kind::CharacterDevice(_) | Kind::BlockDevice(_) => "device",
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::listing;
    use super::super::{Content, Metadata, Timestamp};
    use super::*;

    /// A tree of (path, mode, kind), parents first.
    fn tree(entries: &[(&str, u16, Kind)]) -> Tree {
        let mut tree = Tree::new(Metadata::new(0o755));
        for (path, mode, kind) in entries {
            let (parent, name) = path.rsplit_once('/').unwrap();
            let parent = parent.split('/').skip(1).fold(InodeId::ROOT, |at, name| {
                tree.lookup(at, name.as_bytes()).unwrap()
            });
            let inode = Inode {
                metadata: Metadata::new(*mode),
                kind: kind.clone(),
            };
            tree.insert(parent, name.as_bytes(), inode).unwrap();
        }
        tree
    }

    fn directory() -> Kind {
        Kind::Directory(Directory::default())
    }

    fn file(bytes: &str) -> Kind {
        Kind::File(Content::bytes(bytes.into()))
    }

    fn link() -> Kind {
        Kind::Symlink(b"x"[..].into())
    }

    #[test]
    fn the_installer_comes_after_the_contents() {
        let mut into = tree(&[
            ("/etc", 0o700, directory()),
            ("/etc/NIXOS", 0o600, file("mine")),
            ("/etc/replaced", 0o600, file("mine")),
            ("/root", 0o755, directory()),
            ("/root/.nix-defexpr", 0o755, directory()),
        ]);
        let mut from = tree(&[
            ("/etc", 0o755, directory()),
            ("/etc/NIXOS", 0o644, file("")),
            ("/etc/replaced", 0o644, file("installer's")),
            ("/etc/twin", 0o644, file("twin")),
            ("/nix", 0o755, directory()),
            ("/root", 0o755, directory()),
            ("/root/.nix-defexpr", 0o700, directory()),
        ]);
        let etc = from.lookup(InodeId::ROOT, b"etc").unwrap();
        let nix = from.lookup(InodeId::ROOT, b"nix").unwrap();
        let twin = from.lookup(etc, b"twin").unwrap();
        from.link(nix, b"twin", twin).unwrap();
        from.inode_mut(nix).metadata.mtime = Timestamp::default();
        installed(&mut into, from).unwrap();
        assert_eq!(
            listing(&into),
            "directory 0755 0:0 1.000000000 /\n\
             directory 0700 0:0 1.000000000 /etc\n\
             file 0600 0:0 1.000000000 4 /etc/NIXOS\n\
             file 0644 0:0 1.000000000 11 /etc/replaced\n\
             file 0644 0:0 1.000000000 4 /etc/twin\n\
             directory 0755 0:0 0.000000000 /nix\n\
             file 0644 0:0 1.000000000 4 /nix/twin = /etc/twin\n\
             directory 0755 0:0 1.000000000 /root\n\
             directory 0700 0:0 1.000000000 /root/.nix-defexpr\n"
        );
    }

    #[test]
    fn a_directory_in_one_tree_only_is_an_error() {
        for (mine, theirs, message) in [
            (
                link(),
                directory(),
                "/nix is a symbolic link in `contents` and nixos-install makes a directory there; choose another target",
            ),
            (
                directory(),
                link(),
                "/nix is a directory in `contents` and nixos-install makes a symbolic link there; choose another target",
            ),
        ] {
            let mut into = tree(&[("/nix", 0o777, mine)]);
            let error = installed(&mut into, tree(&[("/nix", 0o777, theirs)])).unwrap_err();
            assert_eq!(error.root_cause().to_string(), message);
        }
    }
}
