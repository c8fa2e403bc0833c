//! Adds the closure to the tree, in which `contents` may already have created some of its paths.
//!
//! Before Nix adds a store path that is not in its database, it deletes whatever exists at that
//! path. So in nixpkgs, where `contents` come first, the closure's files replace those of
//! `contents`. The same happens here if both are equal; otherwise it is an error, because files
//! would be lost. Other files that `contents` put into the store stay, as in nixpkgs; Nix treats
//! them as garbage, whatever their names.

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, Result};

use super::graft::{self, Origins};
use super::scan::{self, Policy, Subtree};
use crate::code::Code;
use crate::escape;
use crate::spec::PathInfo;
use crate::tree::{Content, InodeId, Kind, Source, Tree};

/// Adds the paths of `closure` to the directory `store` of the tree.
///
/// # Errors
/// If a file cannot be read, or if `contents` has a different or an additional file below a path of
/// the closure.
pub fn list(
    tree: &mut Tree,
    closure: &[PathInfo],
    store: InodeId,
    origins: &Origins<'_>,
) -> Result<()> {
    let mut replaced = Vec::new();
    let mut sources = Vec::with_capacity(closure.len());
    for info in closure {
        let name = info.path.base_name().as_bytes();
        if let Some(id) = tree.unlink(store, name) {
            replaced.push((info, id));
        }
        sources.push(Subtree {
            path: info.path.as_str().into(),
            parent: store,
            name: name.to_vec(),
        });
    }
    scan::entries(tree, &sources, Policy::CLOSURE).context("listing the closure")?;
    for (info, old) in replaced {
        let Some(new) = tree.lookup(store, info.path.base_name().as_bytes()) else {
            continue;
        };
        if let Some((path, id)) = first_difference(tree, old, new)? {
            let path = format!("{}{}", info.path.as_str(), escape::bytes(&path));
            return Err(Code::Contents.error(format!(
                "{}: {path} does not match the image's closure, which would replace it; remove it \
                 from the source, or give the entry another target",
                origins
                    .of(id)
                    .map_or("contents".to_owned(), |(_, entry)| graft::describe(entry))
            )));
        }
    }
    Ok(())
}

/// Returns the first inode at or below `old` that differs from its counterpart at or below `new`,
/// with its path relative to `old`. Compares what a NAR contains: names, file types, executable
/// bits, symlink targets and bytes.
fn first_difference(tree: &Tree, old: InodeId, new: InodeId) -> Result<Option<(Vec<u8>, InodeId)>> {
    let mut pairs = vec![(Vec::new(), old, new)];
    while let Some((path, old, new)) = pairs.pop() {
        let is_equal = match (&tree.inode(old).kind, &tree.inode(new).kind) {
            (Kind::Directory(entries), Kind::Directory(_)) => {
                let first = pairs.len();
                for (name, id) in entries.iter() {
                    let path = [&path, &b"/"[..], name].concat();
                    match tree.lookup(new, name) {
                        Some(counterpart) => pairs.push((path, id, counterpart)),
                        None => return Ok(Some((path, id))),
                    }
                }
                pairs[first..].reverse();
                true
            }
            (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
            (Kind::File(a), Kind::File(b)) => {
                let executable = |id| tree.inode(id).metadata.mode & 0o100;
                executable(old) == executable(new) && a.size == b.size && same_bytes(a, b)?
            }
            _ => false,
        };
        if !is_equal {
            return Ok(Some((path, old)));
        }
    }
    Ok(None)
}

fn same_bytes(a: &Content, b: &Content) -> Result<bool> {
    let (mut a, mut b) = (open(a)?, open(b)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        for (from, to) in [(&mut a, &mut left), (&mut b, &mut right)] {
            to.clear();
            let piece = from.bytes.as_mut().take(1 << 20).read_to_end(to);
            piece.with_context(|| format!("reading {}", from.path))?;
        }
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}

struct Opened<'a> {
    bytes: Box<dyn Read + 'a>,
    /// The path for messages.
    path: String,
}

fn open(content: &Content) -> Result<Opened<'_>> {
    match &content.source {
        Source::Bytes(bytes) => Ok(Opened {
            bytes: Box::new(io::Cursor::new(bytes)),
            path: "memory".to_owned(),
        }),
        Source::File(file) => {
            let path = escape::path(&file.path());
            let opened =
                File::open(file.path()).with_context(|| format!("opening {path} to compare it"))?;
            Ok(Opened {
                bytes: Box::new(opened),
                path,
            })
        }
    }
}
