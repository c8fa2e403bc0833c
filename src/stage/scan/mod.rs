//! Reading directories of the host into a [`Tree`].
//!
//! Directories are read on all processors, each by one thread. Each directory is added to the tree
//! as a whole, with its entries sorted by name. So the contents of the tree depend neither on the
//! number of threads nor on the order in which the kernel lists a directory. Only the inode numbers
//! ([`InodeId`]) do, and they do not affect any byte of an image.

mod entries;
pub(crate) mod flags;
mod hard_links;
mod policy;
mod read;
mod workers;
pub(crate) mod xattrs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::workers::Scope;
use crate::tree::{InodeId, Metadata, Tree};
use crate::{cores, escape};

pub use policy::{HardLinks, Mtime, Policy};

/// A file or directory on the host, and its place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtree {
    /// The path to read, with everything below it. A symlink is not followed.
    pub path: PathBuf,
    /// The directory in the tree to add it to.
    pub parent: InodeId,
    /// Its name in that directory.
    pub name: Vec<u8>,
}

/// Reads `sources` and everything below them into `tree`.
///
/// # Errors
/// If something cannot be read: the message lists the operation, path and cause of the first ten
/// failures, sorted by path, and counts the others. If a name already exists or its parent is not a
/// directory.
pub fn entries(tree: &mut Tree, sources: &[Subtree], policy: Policy) -> Result<()> {
    entries_on(cores::count(), tree, sources, policy)
}

/// Reads those entries of `directories` whose names are `wanted`, and everything below them, into
/// `tree`. For each of `directories`, returns a directory with these entries that has no name in
/// the tree yet.
///
/// # Errors
/// As [`entries()`].
pub(crate) fn selected(
    tree: &mut Tree,
    directories: &[PathBuf],
    wanted: &(dyn Fn(&[u8]) -> bool + Sync),
    policy: Policy,
) -> Result<Vec<InodeId>> {
    let paths: Vec<&Path> = directories.iter().map(|path| &**path).collect();
    let mut scan = workers::read(cores::count(), tree, &paths, policy, Scope::Entries(wanted))?;
    hard_links::join(tree, &mut scan, policy);
    Ok(scan.tops)
}

/// Reads the directory `path` and everything below it into a new tree, of which it is the root. A
/// symlink `path` is followed.
///
/// # Errors
/// As [`entries()`].
pub fn root(path: &Path, policy: Policy) -> Result<Tree> {
    root_on(cores::count(), path, policy)
}

fn entries_on(threads: usize, tree: &mut Tree, sources: &[Subtree], policy: Policy) -> Result<()> {
    let paths: Vec<&Path> = sources.iter().map(|source| &*source.path).collect();
    let mut scan = workers::read(threads, tree, &paths, policy, Scope::Paths)?;
    hard_links::join(tree, &mut scan, policy);
    for (source, top) in sources.iter().zip(scan.tops) {
        tree.link(source.parent, &source.name, top)
            .with_context(|| {
                format!(
                    "adding {} to the image as {}",
                    escape::path(&source.path),
                    escape::bytes(&source.name)
                )
            })?;
    }
    Ok(())
}

fn root_on(threads: usize, path: &Path, policy: Policy) -> Result<Tree> {
    // The directory that is read replaces this root.
    let mut tree = Tree::new(Metadata::new(0));
    let mut scan = workers::read(threads, &mut tree, &[path], policy, Scope::Followed)?;
    hard_links::join(&mut tree, &mut scan, policy);
    match scan.tops.first() {
        Some(&top) if tree.directory(top).is_some() => tree.set_root(top),
        _ => bail!("{} is not a directory", escape::path(path)),
    }
    Ok(tree)
}

#[cfg(test)]
mod tests;
