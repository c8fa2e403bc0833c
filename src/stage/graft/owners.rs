//! Owners of `contents`.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::escape;
use crate::owner::Ids;
use crate::spec::{Graft, Owner};
use crate::tree::place::find_directory;
use crate::tree::{InodeId, Kind, Tree};

/// Sets the owners of the targets of `contents` and of everything below them, in the order of the
/// entries. `names` holds the IDs of the owners that are given by name, in the same order. nixpkgs
/// runs `chown -R OWNER TARGET` as the last step. So this also changes files below a target that
/// come from other entries or from the installation.
///
/// As with chown(2), anything but a directory loses its set-user-ID bit, its set-group-ID bit if it
/// is group-executable, and its capabilities. For a symlink, the owner of the symlink itself
/// changes.
///
/// # Errors
/// If a target does not exist any more, if its path does not consist of directories, or if `names`
/// is too short.
pub fn owners(tree: &mut Tree, contents: &[Graft], names: &[Ids]) -> Result<()> {
    let mut names = names.iter();
    for graft in contents {
        let ids = match &graft.owner {
            None => continue,
            Some(Owner::Ids(ids)) => *ids,
            Some(Owner::Names(name)) => *names.next().with_context(|| {
                format!(
                    "the IDs of {}:{} were not looked up",
                    escape::bytes(name.user.as_bytes()),
                    escape::bytes(name.group.as_bytes())
                )
            })?,
        };
        let id = find(tree, graft).with_context(|| {
            let target = escape::path(&graft.target.path());
            format!(
                "contents: changing the owner of {target} to {}:{}",
                ids.uid, ids.gid
            )
        })?;
        chown_all(tree, id, ids);
    }
    Ok(())
}

/// Returns the target's inode. A symlink is not followed, unless the target ends in a slash.
fn find(tree: &Tree, graft: &Graft) -> Result<InodeId> {
    let Some((name, above)) = graft.target.names.split_last() else {
        return Ok(InodeId::ROOT);
    };
    if graft.target.below {
        let found = find_directory(tree, &graft.target.path())?;
        return found.context("not found in the image");
    }
    let parent = find_directory(tree, &above.iter().collect::<PathBuf>())?;
    match parent.and_then(|parent| tree.lookup(parent, name.as_bytes())) {
        Some(id) => Ok(id),
        None => bail!("not found in the image"),
    }
}

fn chown_all(tree: &mut Tree, top: InodeId, owner: Ids) {
    let mut stack = vec![top];
    while let Some(id) = stack.pop() {
        if let Some(entries) = tree.directory(id) {
            stack.extend(entries.iter().map(|(_, child)| child));
        }
        let inode = tree.inode_mut(id);
        let metadata = &mut inode.metadata;
        (metadata.uid, metadata.gid) = (owner.uid, owner.gid);
        if !matches!(inode.kind, Kind::Directory(_)) {
            metadata.mode &= !0o4000;
            if metadata.mode & 0o010 != 0 {
                metadata.mode &= !0o2000;
            }
            let kept = |name: &[u8]| name != b"security.capability";
            metadata.xattrs.retain(|xattr| kept(&xattr.name));
        }
    }
}
