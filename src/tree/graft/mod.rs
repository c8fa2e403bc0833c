//! `contents` and `configFile`: the user's own files in a [`Tree`].
//!
//! What comes out is what nixpkgs gets from `rsync -a --no-o --no-g --chmod=MODE SOURCE TARGET` in
//! an empty root, before `nixos-install` runs in it, with four differences. Hard links, extended
//! attributes and holes are kept. Names may have blanks in them. A target that goes through a
//! symlink out of the root is refused, where rsync would write to the machine that builds. A
//! file is replaced even by one of the same size and time, which rsync takes for the same.

mod acl;
mod configuration;
mod owners;
mod pattern;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::merge::{Rule, Transplant};
use super::place::make_directories;
use super::scan::{self, HardLinks, Policy, Source};
use super::{Chmod, Directory, Inode, InodeId, Kind, Metadata, Timestamp, Tree};
use crate::escape;
use crate::spec::Graft;

pub use configuration::configuration;
pub use owners::owners;

/// Grafts `contents` into `tree`, one after the other, all owned by root: owners come at the very
/// end, see [`owners`]. Directories that are missing on the way to a target are made, with mode
/// 0755 and the time `time`.
///
/// Symlinks that are sources are kept, but for one to a directory, whose entries are taken as a
/// directory's are. A source with a `*` in it is a shell pattern, and what it matches goes into
/// the directory `target`; whatever is there under the same names is merged or replaced, as rsync
/// does it.
///
/// In the store `store_dir` of this machine equal files may be one file with many names
/// (`nix-store --optimise`), which must not show in an image. So a source in the store keeps those
/// hard links only that have all of their names in it, and no flags: a NAR has none.
///
/// # Errors
/// Naming source and target: a target that exists, one that can't be reached (see
/// [`make_directories`]), a pattern that matches nothing, whatever can't be read.
pub fn contents(
    tree: &mut Tree,
    contents: &[Graft],
    store_dir: &Path,
    time: Timestamp,
) -> Result<()> {
    for graft in contents {
        let target = target_path(graft);
        let made = Metadata {
            mtime: time,
            ..Metadata::new(0o755)
        };
        let place = if graft.source.as_bytes().contains(&b'*') {
            matches(tree, graft, &target, store_dir, &made)
        } else {
            single(tree, graft, &target, store_dir, &made)
        };
        place.with_context(|| {
            format!(
                "contents: {} -> {}",
                escape::bytes(graft.source.as_bytes()),
                escape::path(&target)
            )
        })?;
    }
    Ok(())
}

/// The target with a slash in front.
fn target_path(graft: &Graft) -> PathBuf {
    let mut path = PathBuf::from("/");
    path.extend(&graft.target);
    path
}

fn single(
    tree: &mut Tree,
    graft: &Graft,
    target: &Path,
    store_dir: &Path,
    made: &Metadata,
) -> Result<()> {
    let Some((name, above)) = graft.target.split_last() else {
        bail!(
            "duplicate entry / -> {0}: the root directory exists always; to put what is in a \
             directory there, write {0}/*",
            escape::bytes(graft.source.as_bytes())
        );
    };
    let parent = make_directories(tree, &above.iter().collect::<PathBuf>(), made)?;
    if tree.lookup(parent, name.as_bytes()).is_some() {
        bail!(
            "duplicate entry {} -> {}: an earlier entry put something there; take one of the two \
             away or give it another target",
            escape::path(target),
            escape::bytes(graft.source.as_bytes())
        );
    }
    // With a slash behind it, a symlink to a directory is the directory.
    let mut path = graft.source.clone();
    if fs::metadata(&path).is_ok_and(|stat| stat.is_dir()) && !path.as_bytes().ends_with(b"/") {
        path.push("/");
    }
    let (mut stock, holders) = stage(vec![(path.into(), name.clone())], graft, store_dir)?;
    stock.merge(tree, holders[0], (parent, key(above)), Rule::Rsync)
}

fn matches(
    tree: &mut Tree,
    graft: &Graft,
    target: &Path,
    store_dir: &Path,
    made: &Metadata,
) -> Result<()> {
    let found = pattern::expand(&graft.source)?;
    if found.is_empty() {
        bail!(
            "no path matches the pattern; is it right, and is what it should match in the source?"
        );
    }
    let directory = make_directories(tree, target, made)?;
    let mut sources = Vec::with_capacity(found.len());
    for path in &found {
        let Some(name) = path.file_name() else {
            bail!("{} has no name to be put under", escape::path(path));
        };
        sources.push((path.clone(), name.to_owned()));
    }
    let (mut stock, holders) = stage(sources, graft, store_dir)?;
    for (path, holder) in found.iter().zip(holders) {
        let place = (directory, key(&graft.target));
        let contents = first_entry(stock.remaining(), holder);
        match contents {
            // rsync takes a slash at the end for "what is in it", and the target for its copy.
            Some(contents) if path.as_os_str().as_bytes().ends_with(b"/") => {
                let metadata = stock.remaining().inode(contents).metadata.clone();
                tree.inode_mut(directory).metadata = metadata;
                stock.merge(tree, contents, place, Rule::Rsync)?;
            }
            _ => stock.merge(tree, holder, place, Rule::Rsync)?,
        }
    }
    Ok(())
}

fn first_entry(tree: &Tree, directory: InodeId) -> Option<InodeId> {
    let (_, id) = tree.directory(directory)?.nth(0)?;
    Some(id)
}

/// A path in a tree as messages show it, without a leading slash.
fn key(names: &[OsString]) -> Vec<u8> {
    let path: PathBuf = names.iter().collect();
    path.into_os_string().into_encoded_bytes()
}

/// Reads the sources, each into a directory of its own as different ones may have one name, and
/// changes their modes. Returns those directories in the order of the sources.
fn stage(
    sources: Vec<(PathBuf, OsString)>,
    graft: &Graft,
    store_dir: &Path,
) -> Result<(Transplant, Vec<InodeId>)> {
    let mut stock = Tree::new(Metadata::new(0o755));
    let mut policy = Policy::FAITHFUL;
    let mut holders = Vec::with_capacity(sources.len());
    let mut wanted = Vec::with_capacity(sources.len());
    for (number, (path, name)) in sources.into_iter().enumerate() {
        let holder = Inode {
            metadata: Metadata::new(0o755),
            kind: Kind::Directory(Directory::default()),
        };
        let parent = stock.insert(InodeId::ROOT, number.to_string().as_bytes(), holder)?;
        if is_below(&path, store_dir) {
            policy.hard_links = HardLinks::Complete;
            // They would be what somebody did to this machine's store.
            policy.flags = false;
        }
        holders.push(parent);
        wanted.push(Source {
            path,
            parent,
            name: name.into_encoded_bytes(),
        });
    }
    let own = stock.inodes().len();
    scan::entries(&mut stock, &wanted, policy)?;
    if let Some(chmod) = &graft.mode {
        for inode in &mut stock.inodes[own..] {
            change_mode(inode, chmod);
        }
    }
    Ok((Transplant::new(stock), holders))
}

fn change_mode(inode: &mut Inode, chmod: &Chmod) {
    let is_directory = match inode.kind {
        // Linux has no modes for them.
        Kind::Symlink(_) => return,
        Kind::Directory(_) => true,
        _ => false,
    };
    let mode = chmod.apply(inode.metadata.mode, is_directory);
    acl::set_mode(&mut inode.metadata, mode);
}

/// Whether `path` is in the directory `store_dir`, perhaps by way of a symlink like `./result`.
fn is_below(path: &Path, store_dir: &Path) -> bool {
    let real = fs::canonicalize(path);
    path.starts_with(store_dir) || real.is_ok_and(|path| path.starts_with(store_dir))
}

/// A name as bytes, for [`Tree::lookup`].
fn bytes(name: &OsStr) -> &[u8] {
    name.as_bytes()
}
