//! One entry of `contents`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::super::merge::{Rule, merge};
use super::super::scan::{self, HardLinks, Policy, Subtree};
use super::acl;
use super::pattern::{self, Matches};
use crate::escape;
use crate::spec::{Chmod, Graft};
use crate::tree::place::make_directories;
use crate::tree::{ChangeCheck, Directory, Inode, InodeId, Kind, Metadata, Tree};

/// Adds the files of `graft` to `tree`. Missing parent directories are created with the metadata
/// `parent_metadata`.
pub fn put(
    tree: &mut Tree,
    graft: &Graft,
    store_dir: &Path,
    parent_metadata: &Metadata,
) -> Result<()> {
    match graft.source.as_bytes().contains(&b'*') {
        true => matches(tree, graft, store_dir, parent_metadata),
        false => single(tree, graft, store_dir, parent_metadata),
    }
}

fn single(
    tree: &mut Tree,
    graft: &Graft,
    store_dir: &Path,
    parent_metadata: &Metadata,
) -> Result<()> {
    let source = escape::bytes(graft.source.as_bytes());
    let Some((name, above)) = graft.target.names.split_last() else {
        bail!(
            "duplicate entry / -> {source}: the root directory always exists; to copy the \
             contents of a directory there, write {source}/*"
        );
    };
    let mut parent = make_directories(tree, &above.iter().collect::<PathBuf>(), parent_metadata)?;
    if tree.lookup(parent, name.as_bytes()).is_some() {
        bail!(
            "duplicate entry {} -> {source}: an earlier entry already creates it; remove one of \
             the two or give it another target",
            escape::path(&graft.target.path())
        );
    }
    let mut path = PathBuf::from(&graft.source);
    let mut name: &OsStr = name;
    let own_name = path.file_name().map(OsStr::to_owned);
    if fs::metadata(&path).is_ok_and(|found| found.is_dir()) {
        // With a trailing slash, a symlink to a directory is the directory.
        path.push("");
    } else if graft.target.below {
        parent = make_directories(
            tree,
            &graft.target.names.iter().collect::<PathBuf>(),
            parent_metadata,
        )?;
        name = own_name.as_deref().unwrap_or(name);
    }
    let policy = policy([&*path], store_dir);
    let source = Subtree {
        path,
        parent,
        name: name.as_bytes().to_vec(),
    };
    let first = tree.inodes().len();
    scan::entries(tree, &[source], policy)?;
    change_modes(tree, first, graft);
    Ok(())
}

fn matches(
    tree: &mut Tree,
    graft: &Graft,
    store_dir: &Path,
    parent_metadata: &Metadata,
) -> Result<()> {
    let found = pattern::expand(&graft.source)?;
    let with_path = |id| (id, path_for_messages(&graft.target.names));
    let no_match = || {
        bail!(
            "no path matches the pattern; check the pattern, and that the source contains what it \
             should match"
        )
    };
    match found {
        Matches::Paths(paths) => {
            if paths.is_empty() {
                return no_match();
            }
            let target = make_directories(tree, &graft.target.path(), parent_metadata)?;
            let sources = in_holders(tree, paths)?;
            let policy = policy(sources.iter().map(|source| &*source.path), store_dir);
            let first = tree.inodes().len();
            scan::entries(tree, &sources, policy)?;
            change_modes(tree, first, graft);
            for source in sources {
                let mut from = source.parent;
                // To rsync, a trailing slash means the contents of the directory, and the target is
                // its copy.
                if source.path.as_os_str().as_bytes().ends_with(b"/")
                    && let Some(directory) = tree.lookup(from, &source.name)
                {
                    let metadata = tree.inode(directory).metadata.clone();
                    tree.inode_mut(target).metadata = metadata;
                    from = directory;
                }
                merge(tree, from, with_path(target), Rule::Rsync)?;
            }
        }
        Matches::Entries(directories, wanted) => {
            let policy = policy(directories.iter().map(|path| &**path), store_dir);
            let first = tree.inodes().len();
            let holders = scan::selected(tree, &directories, &|name| wanted.matches(name), policy)?;
            let filled = |&id: &InodeId| tree.directory(id).is_some_and(|found| !found.is_empty());
            if !holders.iter().any(filled) {
                return no_match();
            }
            change_modes(tree, first, graft);
            let target = make_directories(tree, &graft.target.path(), parent_metadata)?;
            for holder in holders {
                merge(tree, holder, with_path(target), Rule::Rsync)?;
            }
        }
    }
    Ok(())
}

/// Puts each of the sources `paths` into an unnamed directory of its own, because several may have
/// the same name.
fn in_holders(tree: &mut Tree, paths: Vec<PathBuf>) -> Result<Vec<Subtree>> {
    let mut sources = Vec::with_capacity(paths.len());
    for path in paths {
        let Some(name) = path.file_name() else {
            bail!("{} has no file name to copy it under", escape::path(&path));
        };
        let holder = Inode {
            metadata: Metadata::new(0o755),
            kind: Kind::Directory(Directory::default()),
        };
        sources.push(Subtree {
            name: name.as_bytes().to_vec(),
            parent: tree.push(holder)?,
            path,
        });
    }
    Ok(sources)
}

/// A path in a tree in the form that [`merge`] expects: without a leading slash.
fn path_for_messages(names: &[OsString]) -> Vec<u8> {
    let path: PathBuf = names.iter().collect();
    path.into_os_string().into_encoded_bytes()
}

/// Returns the scan policy for the sources `paths`.
fn policy<'a>(paths: impl IntoIterator<Item = &'a Path>, store_dir: &Path) -> Policy {
    match paths.into_iter().any(|path| is_below(path, store_dir)) {
        true => Policy {
            hard_links: HardLinks::Complete,
            // Flags would only reflect changes to the host's store.
            flags: false,
            change_check: ChangeCheck::Mtime,
            ..Policy::FAITHFUL
        },
        false => Policy::FAITHFUL,
    }
}

/// Applies the entry's mode to all inodes from index `first` on.
fn change_modes(tree: &mut Tree, first: usize, graft: &Graft) {
    if let Some(chmod) = &graft.mode {
        for inode in &mut tree.inodes_mut()[first..] {
            change_mode(inode, chmod);
        }
    }
}

fn change_mode(inode: &mut Inode, chmod: &Chmod) {
    let is_directory = match inode.kind {
        // Linux does not support modes of symlinks.
        Kind::Symlink(_) => return,
        Kind::Directory(_) => true,
        _ => false,
    };
    let mode = chmod.apply(inode.metadata.mode, is_directory);
    acl::set_mode(&mut inode.metadata, mode);
}

/// Whether `path` is below `store_dir`, directly or through a symlink like `./result`.
fn is_below(path: &Path, store_dir: &Path) -> bool {
    path.starts_with(store_dir)
        || fs::canonicalize(path).is_ok_and(|path| path.starts_with(store_dir))
}
