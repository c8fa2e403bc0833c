//! Merges the guest's changes into the trees.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::protected::{Protected, Relation};
use super::report::{Entry, Record, RecordKind, Report};
use super::seeds;
use crate::tree::{Device, Directory, Flags, Inode, InodeId, Kind, Metadata, Timestamp, Tree};
use crate::{escape, excerpt};

/// Merges the changes that `report` lists for the root file system into `tree`: removes what the guest
/// deleted, and adds what is new or changed, except seeds. Times after `time` become `time`, because
/// they come from the run of the guest.
///
/// # Errors
/// If the report does not fit the tree, or changes a protected path such as `store`.
pub fn root(tree: &mut Tree, report: &Report, store: &Path, time: Timestamp) -> Result<()> {
    let protected = Protected::new(store);
    delete(tree, report, &protected)
        .and_then(|()| put(tree, report, 0, time, Some(&protected)))
        .context("merging the guest's changes into the image")
}

/// Returns the tree of boot partition `number`.
///
/// # Errors
/// If the report is invalid.
pub fn boot(report: &Report, number: u32, time: Timestamp) -> Result<Tree> {
    let mut tree = Tree::new(Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    });
    put(&mut tree, report, number, time, None)
        .with_context(|| format!("collecting the files of boot partition {number}"))?;
    Ok(tree)
}

/// Returns the total length of all paths that a guest may delete from `tree`, plus one byte for each.
pub fn length_of_paths(tree: &Tree, store: &Path) -> u64 {
    let protected = Protected::new(store);
    let mut length: u64 = 0;
    tree.walk(|path, _| {
        if protected.relation(path) == Relation::Apart {
            // usize to u64: lossless on every target Rust has.
            length = length.saturating_add(path.len() as u64 + 1);
        }
    });
    length
}

/// Removes the paths that the guest deleted.
fn delete(tree: &mut Tree, report: &Report, protected: &Protected) -> Result<()> {
    let mut deleted: Vec<&[u8]> = match report.gone.strip_suffix(b"\0") {
        Some(paths) => paths.split(|&byte| byte == 0).collect(),
        None => Vec::new(),
    };
    // The entries of a directory before the directory itself.
    deleted.sort_unstable_by(|a, b| b.cmp(a));
    for path in deleted {
        remove(tree, path, protected)
            .with_context(|| format!("deleting /{}", escape::bytes(path)))?;
    }
    Ok(())
}

fn remove(tree: &mut Tree, path: &[u8], protected: &Protected) -> Result<()> {
    ensure!(protected.relation(path) == Relation::Apart, FORBIDDEN);
    let found = split(tree, path).and_then(|(parent, name)| {
        let id = tree.lookup(parent, name)?;
        Some((parent, name, id))
    });
    let (parent, name, id) = found.context("it is not in the image")?;
    ensure!(
        is_empty(tree, id),
        "it is a directory that still has entries"
    );
    tree.unlink(parent, name);
    Ok(())
}

/// The error for a change that no regular installation makes.
const FORBIDDEN: &str = "a guest cannot change the store, the Nix database or lost+found, or remove \
                         or replace a directory above them";

fn put(
    tree: &mut Tree,
    report: &Report,
    volume: u32,
    time: Timestamp,
    protected: Option<&Protected>,
) -> Result<()> {
    let seeds = seeds::of(tree, report, volume);
    if !seeds.is_empty() {
        let names = seeds.iter().map(|path| format!("/{}", escape::bytes(path)));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        let names = excerpt::list(&names, ", ");
        log::info!("  left out, because each machine must generate its own: {names}");
    }
    for entry in report.entries.iter().filter(|e| e.record.volume == volume) {
        let path = &entry.record.path;
        if !seeds.contains(path.as_slice()) {
            allowed(&entry.record, protected)
                .and_then(|()| put_one(tree, entry, time))
                .with_context(|| format!("/{}", escape::bytes(path)))?;
        }
    }
    // Such links can form cycles, which no code that walks a tree expects.
    if let Some(path) = tree.hard_linked_directory() {
        bail!("/{} is a hard link to a directory", escape::bytes(&path));
    }
    Ok(())
}

/// Checks that a record changes nothing protected.
fn allowed(record: &Record, protected: Option<&Protected>) -> Result<()> {
    let Some(protected) = protected else {
        return Ok(());
    };
    let relation = protected.relation(&record.path);
    let is_directory = record.kind == RecordKind::Directory;
    ensure!(
        relation == Relation::Apart || (relation == Relation::Above && is_directory),
        FORBIDDEN
    );
    if let RecordKind::Link(first) = &record.kind {
        ensure!(protected.relation(first) == Relation::Apart, FORBIDDEN);
    }
    Ok(())
}

fn put_one(tree: &mut Tree, entry: &Entry, time: Timestamp) -> Result<()> {
    let record = &entry.record;
    let metadata = metadata(record, time);
    if record.path.is_empty() {
        tree.inode_mut(InodeId::ROOT).metadata = metadata;
        return Ok(());
    }
    let Some((parent, name)) = split(tree, &record.path) else {
        bail!("its parent directory is not in the image");
    };
    if let Some(existing) = tree.lookup(parent, name) {
        if record.kind == RecordKind::Directory && tree.directory(existing).is_some() {
            tree.inode_mut(existing).metadata = metadata;
            return Ok(());
        }
        ensure!(
            is_empty(tree, existing),
            "it would replace a directory that still has entries"
        );
        tree.unlink(parent, name);
    }
    if let RecordKind::Link(first) = &record.kind {
        let target = split(tree, first).and_then(|(parent, name)| tree.lookup(parent, name));
        let target = target.context("it is a hard link to a file that does not exist")?;
        ensure!(
            tree.directory(target).is_none(),
            "it is a hard link to /{}, which is a directory",
            escape::bytes(first)
        );
        return Ok(tree.link(parent, name, target)?);
    }
    let kind = kind(entry)?;
    tree.insert(parent, name, Inode { metadata, kind })?;
    Ok(())
}

/// Returns whether `id` is an empty directory or not a directory.
fn is_empty(tree: &Tree, id: InodeId) -> bool {
    tree.directory(id).is_none_or(Directory::is_empty)
}

/// Returns the parent directory of `path`, and its name in there.
fn split<'a>(tree: &Tree, path: &'a [u8]) -> Option<(InodeId, &'a [u8])> {
    let mut names = path.split(|&byte| byte == b'/');
    let name = names.next_back()?;
    let parent = names.try_fold(InodeId::ROOT, |at, name| tree.lookup(at, name))?;
    Some((parent, name))
}

fn metadata(record: &Record, time: Timestamp) -> Metadata {
    Metadata {
        mode: record.mode & 0o7777,
        uid: record.uid,
        gid: record.gid,
        mtime: record.time().min(time),
        flags: match record.kind {
            RecordKind::File => Flags::of_file(record.flags),
            RecordKind::Directory => Flags::of_directory(record.flags),
            _ => Flags::default(),
        },
        xattrs: record.attributes().into(),
    }
}

fn kind(entry: &Entry) -> Result<Kind> {
    let device = |major, minor| Device { major, minor };
    Ok(match &entry.record.kind {
        RecordKind::Directory => Kind::Directory(Directory::default()),
        RecordKind::File => Kind::File(entry.content.clone().context("it has no content")?),
        RecordKind::Symlink(target) => Kind::Symlink(target.as_slice().into()),
        RecordKind::Fifo => Kind::Fifo,
        RecordKind::Character(major, minor) => Kind::CharacterDevice(device(*major, *minor)),
        RecordKind::Block(major, minor) => Kind::BlockDevice(device(*major, *minor)),
        RecordKind::Link(_) => bail!("a hard link has no inode of its own"),
    })
}

#[cfg(test)]
mod tests;
