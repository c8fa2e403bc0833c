//! Owners of `contents`.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::escape;
use crate::owner::Ids;
use crate::spec::{Graft, Owner};
use crate::tree::place::find_directory;
use crate::tree::{InodeId, Kind, Tree};

/// Gives every target of `contents` that has an owner to it, with everything below it, one entry
/// after the other; `names` has what the owners that are names stand for, in their order. nixpkgs
/// runs `chown -R OWNER TARGET` when all else is done, so this comes last, and other entries' files
/// below a target, and those of the installation, change hands as well.
///
/// As with chown(2), whatever is no directory loses its set-user-ID bit, its set-group-ID bit where
/// its group may execute it, and its capabilities; symlinks change hands themselves.
///
/// # Errors
/// If a target is not there any more, or the way to it is not one of directories. If `names` is too
/// short.
pub fn owners(tree: &mut Tree, contents: &[Graft], names: &[Ids]) -> Result<()> {
    let mut names = names.iter();
    for graft in contents {
        let ids = match &graft.owner {
            None => continue,
            Some(Owner::Ids(ids)) => *ids,
            Some(Owner::Names(name)) => *names.next().with_context(|| {
                format!(
                    "nobody looked up {}:{}",
                    escape::bytes(name.user.as_bytes()),
                    escape::bytes(name.group.as_bytes())
                )
            })?,
        };
        let id = find(tree, graft).with_context(|| {
            let target = escape::path(&graft.target.path());
            format!("contents: giving {target} to {}:{}", ids.uid, ids.gid)
        })?;
        chown_all(tree, id, ids);
    }
    Ok(())
}

/// What the target's own name stands for, even if it is a symlink, unless a slash ends it.
fn find(tree: &Tree, graft: &Graft) -> Result<InodeId> {
    let Some((name, above)) = graft.target.names.split_last() else {
        return Ok(InodeId::ROOT);
    };
    if graft.target.below {
        let found = find_directory(tree, &graft.target.path())?;
        return found.context("it is not in the image");
    }
    let parent = find_directory(tree, &above.iter().collect::<PathBuf>())?;
    match parent.and_then(|parent| tree.lookup(parent, name.as_bytes())) {
        Some(id) => Ok(id),
        None => bail!("it is not in the image"),
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
