//! What the guest changed, put into the trees.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::protected::{Protected, Relation};
use super::report::{Entry, Record, RecordKind, Report};
use super::seeds;
use crate::tree::{Device, Directory, Flags, Inode, InodeId, Kind, Metadata, Timestamp, Tree};
use crate::{escape, excerpt};

/// Puts what `report` says of the root file system into `tree`: takes out what the guest deleted,
/// and puts in everything that is new or changed, but seeds. Times after `time` become `time`: the
/// guest was at work then.
///
/// # Errors
/// If the report does not fit the tree, or names what is below `store` or is the host's otherwise.
pub fn root(tree: &mut Tree, report: &Report, store: &Path, time: Timestamp) -> Result<()> {
    let protected = Protected::new(store);
    delete(tree, report, &protected)
        .and_then(|()| put(tree, report, 0, time, Some(&protected)))
        .context("putting what the guest changed into the image")
}

/// The tree of boot partition `number`.
///
/// # Errors
/// If the report is not sound.
pub fn boot(report: &Report, number: u32, time: Timestamp) -> Result<Tree> {
    let mut tree = Tree::new(Metadata {
        mtime: time,
        ..Metadata::new(0o755)
    });
    put(&mut tree, report, number, time, None)
        .with_context(|| format!("putting the files of boot partition {number} together"))?;
    Ok(tree)
}

/// Bytes of all paths that a guest may delete from `tree`, with one more for each.
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

/// Takes out every path that is not there any more.
fn delete(tree: &mut Tree, report: &Report, protected: &Protected) -> Result<()> {
    let mut gone: Vec<&[u8]> = match report.gone.strip_suffix(b"\0") {
        Some(paths) => paths.split(|&byte| byte == 0).collect(),
        None => Vec::new(),
    };
    // What is in a directory before the directory itself.
    gone.sort_unstable_by(|a, b| b.cmp(a));
    for path in gone {
        take_out(tree, path, protected)
            .with_context(|| format!("/{} is gone", escape::bytes(path)))?;
    }
    Ok(())
}

fn take_out(tree: &mut Tree, path: &[u8], protected: &Protected) -> Result<()> {
    ensure!(protected.relation(path) == Relation::Apart, FORBIDDEN);
    let found = place(tree, path).and_then(|(parent, name)| {
        let id = tree.lookup(parent, name)?;
        Some((parent, name, id))
    });
    let (parent, name, id) = found.context("it was not in the image")?;
    ensure!(
        is_empty(tree, id),
        "it was a directory, and what is in it is not gone"
    );
    tree.unlink(parent, name);
    Ok(())
}

/// What a guest that only installs does not do.
const FORBIDDEN: &str = "a guest can't change the store, the Nix database or lost+found, nor what \
                         they are in";

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
        log::info!("  left out, as every machine makes its own: {names}");
    }
    for entry in report.entries.iter().filter(|e| e.record.volume == volume) {
        let path = &entry.record.path;
        if !seeds.contains(path.as_slice()) {
            allowed(&entry.record, protected)
                .and_then(|()| put_one(tree, entry, time))
                .with_context(|| format!("/{}", escape::bytes(path)))?;
        }
    }
    // A hard link to a directory would be one; nothing that walks a tree expects it.
    if let Some(path) = tree.hard_linked_directory() {
        bail!("/{} is a directory with two names", escape::bytes(&path));
    }
    Ok(())
}

/// Checks that a record changes nothing that is the host's.
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
    let Some((parent, name)) = place(tree, &record.path) else {
        bail!("its directory is not in the image");
    };
    if let Some(existing) = tree.lookup(parent, name) {
        if record.kind == RecordKind::Directory && tree.directory(existing).is_some() {
            tree.inode_mut(existing).metadata = metadata;
            return Ok(());
        }
        ensure!(
            is_empty(tree, existing),
            "it takes the place of a directory, and what is in that is not gone"
        );
        tree.unlink(parent, name);
    }
    if let RecordKind::Link(first) = &record.kind {
        let target = place(tree, first).and_then(|(parent, name)| tree.lookup(parent, name));
        let target = target.context("the file that it is another name of is not there")?;
        ensure!(
            tree.directory(target).is_none(),
            "it is another name of /{}, which is a directory",
            escape::bytes(first)
        );
        return Ok(tree.link(parent, name, target)?);
    }
    let kind = kind(entry)?;
    tree.insert(parent, name, Inode { metadata, kind })?;
    Ok(())
}

/// Whether `id` is not a directory that has entries.
fn is_empty(tree: &Tree, id: InodeId) -> bool {
    tree.directory(id).is_none_or(Directory::is_empty)
}

/// The directory that `path` is in, and its name there.
fn place<'a>(tree: &Tree, path: &'a [u8]) -> Option<(InodeId, &'a [u8])> {
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
        RecordKind::File => Kind::File(entry.content.clone().context("it has no bytes")?),
        RecordKind::Symlink(target) => Kind::Symlink(target.as_slice().into()),
        RecordKind::Fifo => Kind::Fifo,
        RecordKind::Character(major, minor) => Kind::CharacterDevice(device(*major, *minor)),
        RecordKind::Block(major, minor) => Kind::BlockDevice(device(*major, *minor)),
        RecordKind::Link(_) => bail!("a second name has no kind of its own"),
    })
}

#[cfg(test)]
mod tests;
