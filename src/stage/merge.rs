//! Merging the entries of one directory of a [`Tree`] into another directory.

use std::mem;

use anyhow::{Context, Result, bail};

use crate::escape;
use crate::tree::{Directory, InodeId, Kind, Tree};

/// What happens if a name exists in both directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// As with `rsync -a`: directories are merged and get the metadata of the new one; everything
    /// else is replaced. Replacing a non-empty directory with something else is an error.
    Rsync,
    /// As if `nixos-install` had run in a root with the existing files; see [`installed`].
    Install,
}

/// Merges `from`, the result of `nixos-install`, into a tree that already has the user's
/// `contents`. In nixpkgs, `nixos-install` runs after they have been copied:
///
/// * directories are merged. `mkdir -p` leaves one that exists as it is, so mode, time and
///   attributes stay; `install -d -m` does not, so a mode other than 0755 comes from `from`;
/// * a file or symlink of `from` replaces one that is there. A file that is empty was only touched
///   or locked, and what is in such a file already stays in it;
/// * both a directory and something else under one name is an error.
///
/// # Errors
/// If a path is a directory in only one of the trees; the message names it.
pub fn installed(into: &mut Tree, from: Tree) -> Result<()> {
    let put = |into: &mut Tree| {
        let root = into.adopt(from)?;
        merge(into, root, (InodeId::ROOT, Vec::new()), Rule::Install)
    };
    put(into).context("adding nixos-install's files to the image")
}

/// A directory and its path, without a leading slash, for messages.
pub type DirectoryAt = (InodeId, Vec<u8>);

/// Moves the entries of the directory `source` into the directory `target`, which must not be below
/// `source`.
///
/// # Errors
/// If `rule` does not allow the merge; the message names the path.
pub fn merge(tree: &mut Tree, source: InodeId, target: DirectoryAt, rule: Rule) -> Result<()> {
    let mut pairs = vec![(source, target)];
    while let Some((source, (target, path))) = pairs.pop() {
        let (Kind::Directory(entries), Kind::Directory(present)) = (
            mem::replace(&mut tree.inode_mut(source).kind, empty()),
            &mut tree.inode_mut(target).kind,
        ) else {
            bail!("/{} is not a directory", escape::bytes(&path));
        };
        if present.is_empty() {
            *present = entries;
            continue;
        }
        let mut fresh = Vec::new();
        for (name, id) in entries.iter() {
            let Some(existing) = tree.lookup(target, name) else {
                fresh.push((name, id));
                continue;
            };
            let mut path = path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            match decide(tree, existing, id, rule, &path)? {
                Decision::Keep => {}
                Decision::Descend => {
                    let metadata = tree.inode(id).metadata.clone();
                    let present = &mut tree.inode_mut(existing).metadata;
                    if rule == Rule::Rsync {
                        *present = metadata;
                    } else if metadata.mode != 0o755 {
                        present.mode = metadata.mode;
                    }
                    pairs.push((id, (existing, path)));
                }
                Decision::Replace => {
                    if let Kind::Directory(present) = &mut tree.inode_mut(target).kind {
                        present.replace(name, id);
                    }
                }
            }
        }
        if let Kind::Directory(present) = &mut tree.inode_mut(target).kind {
            present
                .extend(fresh)
                .with_context(|| format!("adding entries to /{}", escape::bytes(&path)))?;
        }
    }
    Ok(())
}

fn empty() -> Kind {
    Kind::Directory(Directory::default())
}

enum Decision {
    /// Keep the existing inode and drop the new one.
    Keep,
    /// Both are directories: merge their entries.
    Descend,
    /// Replace the existing inode with the new one.
    Replace,
}

fn decide(
    tree: &Tree,
    existing: InodeId,
    newcomer: InodeId,
    rule: Rule,
    path: &[u8],
) -> Result<Decision> {
    let old = &tree.inode(existing).kind;
    let new = &tree.inode(newcomer).kind;
    match (rule, old, new) {
        (_, Kind::Directory(_), Kind::Directory(_)) => Ok(Decision::Descend),
        (Rule::Rsync, Kind::Directory(entries), _) if !entries.is_empty() => bail!(
            "/{} is a non-empty directory and cannot be replaced by a {}; choose another target \
             for one of the two",
            escape::bytes(path),
            kind_name(new)
        ),
        (Rule::Rsync, _, _) => Ok(Decision::Replace),
        (Rule::Install, Kind::Directory(_), _) | (Rule::Install, _, Kind::Directory(_)) => bail!(
            "/{} is a {} in `contents`, but nixos-install creates a {} there; choose another target",
            escape::bytes(path),
            kind_name(old),
            kind_name(new)
        ),
        (Rule::Install, Kind::File(_), Kind::File(content)) if content.size == 0 => {
            Ok(Decision::Keep)
        }
        (Rule::Install, _, _) => Ok(Decision::Replace),
    }
}

fn kind_name(kind: &Kind) -> &'static str {
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
    use super::*;
    use crate::tree::listing::listing;
    use crate::tree::{Content, Inode, Metadata, Timestamp};

    /// Builds a tree of (path, mode, kind), parents first.
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
    fn merges_the_installation_into_the_contents() {
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
    fn rejects_a_directory_that_is_another_kind_in_the_other_tree() {
        for (existing, new, message) in [
            (
                link(),
                directory(),
                "/nix is a symbolic link in `contents`, but nixos-install creates a directory there; choose another target",
            ),
            (
                directory(),
                link(),
                "/nix is a directory in `contents`, but nixos-install creates a symbolic link there; choose another target",
            ),
        ] {
            let mut into = tree(&[("/nix", 0o777, existing)]);
            let error = installed(&mut into, tree(&[("/nix", 0o777, new)])).unwrap_err();
            assert_eq!(error.root_cause().to_string(), message);
        }
    }
}
