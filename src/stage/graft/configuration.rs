//! `configFile`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::super::scan::{self, Mtime, Policy, Subtree};
use crate::escape;
use crate::tree::place::make_directories;
use crate::tree::{Inode, InodeId, Kind, Metadata, Timestamp, Tree};

/// Makes `/etc/nixos`, as nixpkgs does in every installed image, and copies `config_file` to
/// `configuration.nix` there as cp(1) does: what a symlink points to, its permissions without
/// those that the usual umask (022) takes away, its time not kept but `time`. A `configuration.nix`
/// that is there already keeps its mode.
///
/// # Errors
/// If the file can't be read, or something that is no file or directory is in the way.
pub fn configuration(tree: &mut Tree, config_file: Option<&Path>, time: Timestamp) -> Result<()> {
    const NAME: &[u8] = b"configuration.nix";
    let metadata = Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    };
    let directory = make_directories(tree, Path::new("/etc/nixos"), &metadata)
        .context("making /etc/nixos in the image")?;
    let Some(path) = config_file else {
        return Ok(());
    };
    let what = || format!("copying configFile {}", escape::path(path));
    let real = fs::canonicalize(path).with_context(what)?;
    let policy = Policy {
        mtime: Mtime::Fixed(time),
        ..Policy::CLOSURE
    };
    let mut copy = Tree::new(Metadata::new(0o755));
    let source = Subtree {
        path: real,
        parent: InodeId::ROOT,
        name: NAME.to_vec(),
    };
    scan::entries(&mut copy, &[source], policy).with_context(what)?;
    let found = copy.lookup(InodeId::ROOT, NAME).map(|id| copy.inode(id));
    let Some(Inode {
        kind: Kind::File(content),
        metadata,
    }) = found
    else {
        bail!("configFile {} is not a file", escape::path(path));
    };
    if let Some(existing) = tree.lookup(directory, NAME) {
        let inode = tree.inode_mut(existing);
        match &mut inode.kind {
            Kind::File(old) => {
                *old = content.clone();
                inode.metadata.mtime = time;
            }
            _ => bail!(
                "/etc/nixos/configuration.nix is in `contents`, and not a file; configFile can't be copied to it"
            ),
        }
        return Ok(());
    }
    let new = Inode {
        metadata: Metadata {
            mode: metadata.mode & 0o755,
            ..metadata.clone()
        },
        kind: Kind::File(content.clone()),
    };
    tree.insert(directory, NAME, new).with_context(what)?;
    Ok(())
}
