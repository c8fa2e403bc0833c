//! Reading directories of this machine into a [`Tree`].
//!
//! Directories are read on all processors, each by one thread. What is found goes into the tree at
//! once, the entries of each directory in the order of their names, so what the tree says depends
//! neither on the number of threads nor on the order in which the kernel lists a directory. The
//! numbers of the inodes ([`InodeId`]) do; no byte of an image comes from them.

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

/// A file or directory of this machine, and its place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtree {
    /// What to read, with everything below it. A symlink is read as a symlink.
    pub path: PathBuf,
    /// The directory of the tree it goes into.
    pub parent: InodeId,
    /// Its name there.
    pub name: Vec<u8>,
}

/// Reads every one of `sources` and all below them into `tree`.
///
/// # Errors
/// Where something can't be read, with what was done, on which path, and the cause: every such
/// path in the order of paths, the first ten of them by name. Where a name is taken or its parent
/// is no directory.
pub fn entries(tree: &mut Tree, sources: &[Subtree], policy: Policy) -> Result<()> {
    entries_on(cores::count(), tree, sources, policy)
}

/// Reads those entries of `directories` whose names are `wanted`, and all below them, into `tree`.
/// Returns a directory for each of `directories` that has its entries and itself no name yet.
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

/// The directory `path`, itself the root, and all below it. Where `path` is a symlink it is
/// followed.
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
                    "putting {} into the image as {}",
                    escape::path(&source.path),
                    escape::bytes(&source.name)
                )
            })?;
    }
    Ok(())
}

fn root_on(threads: usize, path: &Path, policy: Policy) -> Result<Tree> {
    // What was found takes the place of this root.
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
