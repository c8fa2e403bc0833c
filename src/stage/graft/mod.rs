//! `contents` and `configFile`: the user's own files in a [`Tree`].
//!
//! The result is that of nixpkgs' `rsync -a --no-o --no-g --chmod=MODE SOURCE TARGET` into an empty
//! root before `nixos-install` runs, with five differences. Hard links, extended attributes and
//! holes are kept. Names may contain blanks. A target that passes through a symlink out of the root
//! is rejected, where rsync would write to the build machine. A target that is itself a symlink
//! counts as existing, wherever it points. A file is replaced even by one of the same size and
//! time, which rsync would skip.

mod acl;
mod configuration;
mod entry;
mod origin;
mod owners;
mod pattern;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::escape;
use crate::spec::Graft;
use crate::tree::{Metadata, Timestamp, Tree};

pub use configuration::configuration;
pub(crate) use origin::Origins;
pub use owners::owners;

/// Grafts the entries of `contents` into `tree` in order. All files are owned by root; [`owners()`]
/// sets the owners at the very end. Missing parent directories of a target are created with mode
/// 0755 and the modification time `time`.
///
/// If a source is a symlink, the symlink is copied, unless it points to a directory: then the
/// directory is copied. If the target ends in a slash, anything but a directory goes below it. A
/// source that contains `*` is a shell pattern, and its matches go into the directory `target`.
/// Existing files of the same names are merged or replaced, as by rsync.
///
/// In the host's store `store_dir`, equal files may be hard links to one file (`nix-store
/// --optimise`), which must not be visible in an image. So for a source in the store, hard links
/// are kept only if all names of the inode are in the source, and flags are not kept, because a NAR
/// has none.
///
/// # Errors
/// If a target exists or cannot be reached (see [`crate::tree::place::make_directories`]), a
/// pattern matches nothing, or a file cannot be read. The message names source and target.
pub fn contents<'a>(
    tree: &mut Tree,
    contents: &'a [Graft],
    store_dir: &Path,
    time: Timestamp,
) -> Result<Origins<'a>> {
    let parent_metadata = Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    };
    let mut origins = Origins::new(contents);
    for graft in contents {
        origins.start_entry(tree.inodes().len());
        entry::put(tree, graft, store_dir, &parent_metadata).with_context(|| describe(graft))?;
    }
    origins.finish(tree.inodes().len());
    Ok(origins)
}

/// Describes the entry for messages.
pub(crate) fn describe(graft: &Graft) -> String {
    format!(
        "contents: {} -> {}",
        escape::bytes(graft.source.as_bytes()),
        escape::path(&graft.target.path())
    )
}
