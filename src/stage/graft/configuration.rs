//! `configFile`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::super::scan::{self, Mtime, Policy, Subtree};
use crate::escape;
use crate::tree::place::make_directories;
use crate::tree::{Inode, InodeId, Kind, Metadata, Timestamp, Tree};

/// Creates `/etc/nixos`, as nixpkgs does in every installed image, and copies `config_file` to
/// `configuration.nix` in it. As with cp(1), symlinks are followed and permissions are masked by
/// the usual umask (022); the modification time is `time`. An existing `configuration.nix` keeps
/// its mode.
///
/// # Errors
/// If the file cannot be read, if `/etc/nixos` cannot be created, or if an existing
/// `configuration.nix` is not a regular file.
pub fn configuration(tree: &mut Tree, config_file: Option<&Path>, time: Timestamp) -> Result<()> {
    const NAME: &[u8] = b"configuration.nix";
    let metadata = Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    };
    let directory = make_directories(tree, Path::new("/etc/nixos"), &metadata)
        .context("creating /etc/nixos in the image")?;
    let Some(path) = config_file else {
        return Ok(());
    };
    let message = || format!("copying configFile {}", escape::path(path));
    let real = fs::canonicalize(path).with_context(message)?;
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
    scan::entries(&mut copy, &[source], policy).with_context(message)?;
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
                "/etc/nixos/configuration.nix comes from `contents` and is not a file; configFile \
                 cannot be copied to it"
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
    tree.insert(directory, NAME, new).with_context(message)?;
    Ok(())
}
