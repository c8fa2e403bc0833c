//! Reading directories of this machine into a [`Tree`].
//!
//! Directories are read on all processors, each by one thread. What is found goes into the tree at
//! once, and is afterwards put in the order of names, so the tree depends neither on the number of
//! threads nor on the order in which the kernel lists a directory.

mod assemble;
pub(crate) mod flags;
pub(crate) mod holes;
mod listed;
mod policy;
mod read;
mod workers;
pub(crate) mod xattrs;

use std::path::{Path, PathBuf};

use anyhow::Result;

use self::workers::Wanted;
use crate::cores;
use crate::tree::{InodeId, Metadata, Tree};

pub use policy::{HardLinks, Mtime, Policy};

/// A path of this machine and its place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
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
pub fn entries(tree: &mut Tree, sources: &[Source], policy: Policy) -> Result<()> {
    entries_on(cores::count(), tree, sources, policy)
}

/// Reads those entries of `directories` whose names are `wanted`, and all below them, into `tree`.
/// Returns a directory for each of `directories` that has its entries and itself no name yet.
///
/// # Errors
/// As [`entries`].
pub fn selected(
    tree: &mut Tree,
    directories: &[PathBuf],
    wanted: &(dyn Fn(&[u8]) -> bool + Sync),
    policy: Policy,
) -> Result<Vec<InodeId>> {
    let paths: Vec<&Path> = directories.iter().map(|path| &**path).collect();
    let scan = workers::read(
        cores::count(),
        tree,
        &paths,
        policy,
        Wanted::Entries(wanted),
    )?;
    Ok(assemble::nameless(tree, scan, policy))
}

/// The directory `path`, itself the root, and all below it. Where `path` is a symlink it is
/// followed.
///
/// # Errors
/// As [`entries`].
pub fn root(path: &Path, policy: Policy) -> Result<Tree> {
    root_on(cores::count(), path, policy)
}

fn entries_on(threads: usize, tree: &mut Tree, sources: &[Source], policy: Policy) -> Result<()> {
    let paths: Vec<&Path> = sources.iter().map(|source| &*source.path).collect();
    let scan = workers::read(threads, tree, &paths, policy, Wanted::Paths)?;
    assemble::entries(tree, sources, scan, policy)
}

fn root_on(threads: usize, path: &Path, policy: Policy) -> Result<Tree> {
    // What was found takes the place of this root.
    let mut tree = Tree::new(Metadata::new(0));
    let scan = workers::read(threads, &mut tree, &[path], policy, Wanted::Followed)?;
    assemble::root(path, tree, scan, policy)
}

#[cfg(test)]
mod tests;
