//! `contents` and `configFile`: the user's own files in a [`Tree`].
//!
//! What comes out is what nixpkgs gets from `rsync -a --no-o --no-g --chmod=MODE SOURCE TARGET` in
//! an empty root, before `nixos-install` runs in it, with five differences. Hard links, extended
//! attributes and holes are kept. Names may have blanks in them. A target that goes through a
//! symlink out of the root is refused, where rsync would write to the machine that builds; one that
//! is itself a symlink is there, wherever that leads. A file is replaced even by one of the same
//! size and time, which rsync takes for the same.

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

/// Grafts `contents` into `tree`, one after the other, all owned by root: owners come at the very
/// end, see [`owners()`]. Directories that are missing on the way to a target are made, with mode
/// 0755 and the time `time`.
///
/// A symlink that is a source is kept, but for one to a directory, whose entries are taken as a
/// directory's are. Where a slash ends the target, what is no directory goes below it. A source with
/// a `*` in it is a shell pattern, and what it matches goes into the directory `target`; whatever is
/// there under the same names is merged or replaced, as rsync does it.
///
/// In the store `store_dir` of this machine equal files may be one file with many names
/// (`nix-store --optimise`), which must not show in an image. So a source in the store keeps those
/// hard links only that have all of their names in it, and no flags: a NAR has none.
///
/// # Errors
/// Naming source and target: a target that exists, one that can't be reached (see
/// [`crate::tree::place::make_directories`]), a pattern that matches nothing, whatever can't be read.
pub fn contents<'a>(
    tree: &mut Tree,
    contents: &'a [Graft],
    store_dir: &Path,
    time: Timestamp,
) -> Result<Origins<'a>> {
    let made = Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    };
    let mut origins = Origins::new(contents);
    for graft in contents {
        origins.next_is_from(tree.inodes().len());
        entry::put(tree, graft, store_dir, &made).with_context(|| describe(graft))?;
    }
    origins.others_are_from(tree.inodes().len());
    Ok(origins)
}

/// The entry as messages name it.
pub(crate) fn describe(graft: &Graft) -> String {
    format!(
        "contents: {} -> {}",
        escape::bytes(graft.source.as_bytes()),
        escape::path(&graft.target.path())
    )
}
