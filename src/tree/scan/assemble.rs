//! From what the threads found to the tree, in the order of names.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::super::{Directory, Inode, InodeId, InsertError, Kind, Metadata, Tree};
use super::Source;
use super::policy::{HardLinks, Policy};
use super::read::Shared;
use super::workers::{Entries, Forest, Node};
use crate::escape;

/// Puts what was found for each of `sources` into its place.
pub fn entries(
    tree: &mut Tree,
    sources: &[Source],
    mut forest: Forest,
    policy: Policy,
) -> Result<()> {
    let mut links = Links::new(&forest, policy);
    let tops = std::mem::take(&mut forest.tops);
    for (source, node) in sources.iter().zip(tops) {
        let mut directories = Vec::new();
        add(tree, &mut links, node, &mut directories)
            .and_then(|id| tree.link(source.parent, &source.name, id))
            .and_then(|()| fill(tree, &mut links, &mut forest, directories))
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

/// A tree with what was found for one path as its root.
pub fn root(path: &Path, mut forest: Forest, policy: Policy) -> Result<Tree> {
    let mut links = Links::new(&forest, policy);
    let Some(Node::Directory(metadata, place)) = forest.tops.pop() else {
        bail!("{} is not a directory", escape::path(path));
    };
    let mut tree = Tree::new(metadata);
    fill(
        &mut tree,
        &mut links,
        &mut forest,
        vec![(InodeId::ROOT, place)],
    )
    .with_context(|| format!("reading {}", escape::path(path)))?;
    Ok(tree)
}

/// Gives the new directories their entries, and those theirs.
fn fill(
    tree: &mut Tree,
    links: &mut Links,
    forest: &mut Forest,
    mut directories: Vec<(InodeId, usize)>,
) -> Result<(), InsertError> {
    while let Some((id, place)) = directories.pop() {
        let found: Entries = std::mem::take(&mut forest.directories[place]);
        let mut entries = Vec::with_capacity(found.len());
        let first = directories.len();
        for (name, node) in found {
            entries.push((name, add(tree, links, node, &mut directories)?));
        }
        // The last of them is taken first.
        directories[first..].reverse();
        tree.inode_mut(id).kind = Kind::Directory(Directory::from_sorted(entries));
    }
    Ok(())
}

/// The inode for `node`; where it is a directory it goes to `directories`, too, to be filled.
fn add(
    tree: &mut Tree,
    links: &mut Links,
    node: Node,
    directories: &mut Vec<(InodeId, usize)>,
) -> Result<InodeId, InsertError> {
    match node {
        Node::Directory(metadata, place) => {
            let id = tree.push(directory(metadata))?;
            directories.push((id, place));
            Ok(id)
        }
        Node::Other(inode, None) => tree.push(inode),
        Node::Other(inode, Some(shared)) => match links.known.get(&shared) {
            Some(Some(id)) => Ok(*id),
            Some(None) => tree.push(inode),
            None => {
                let id = tree.push(inode)?;
                links.known.insert(shared, Some(id));
                Ok(id)
            }
        },
    }
}

fn directory(metadata: Metadata) -> Inode {
    Inode {
        metadata,
        kind: Kind::Directory(Directory::default()),
    }
}

/// Inodes of this machine that have several names, and the inode that all of them get; `None`
/// where each gets its own.
struct Links {
    known: HashMap<Shared, Option<InodeId>>,
}

impl Links {
    fn new(forest: &Forest, policy: Policy) -> Links {
        let mut known = HashMap::new();
        if policy.hard_links == HardLinks::Complete {
            let mut names: HashMap<Shared, u64> = HashMap::new();
            let below = forest.directories.iter().flatten().map(|(_, node)| node);
            for node in forest.tops.iter().chain(below) {
                if let Node::Other(_, Some(shared)) = node {
                    *names.entry(*shared).or_default() += 1;
                }
            }
            names.retain(|shared, &mut count| count < shared.links);
            known.extend(names.into_keys().map(|shared| (shared, None)));
        }
        Links { known }
    }
}
