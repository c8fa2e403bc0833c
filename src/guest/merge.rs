//! What the guest changed, put into the trees.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::report::{Entry, Record, RecordKind, Report};
use super::seeds;
use crate::escape;
use crate::tree::{Device, Directory, Flags, Inode, InodeId, Kind, Metadata, Timestamp, Tree};

/// Puts what `report` says of the root file system into `tree`: everything that is new or changed,
/// and takes out what the guest deleted. What is below `store` stays as it is, and so do seeds.
/// Times after `time` become `time`: the guest was at work then.
///
/// # Errors
/// If the report does not fit the tree.
pub fn root(tree: &mut Tree, report: &Report, store: &Path, time: Timestamp) -> Result<()> {
    delete(tree, report, store);
    put(tree, report, 0, time).context("putting what the guest changed into the image")
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
    put(&mut tree, report, number, time)
        .with_context(|| format!("putting the files of boot partition {number} together"))?;
    Ok(tree)
}

/// Takes out every path that is not there any more.
fn delete(tree: &mut Tree, report: &Report, store: &Path) {
    let there: HashSet<&[u8]> = report.paths.split(|&byte| byte == 0).collect();
    let mut kept = vec![store.as_os_str().as_encoded_bytes()];
    kept[0] = kept[0].strip_prefix(b"/").unwrap_or(kept[0]);
    // What the guest does not look at (init/snapshot.rs).
    kept.extend([&b"nix/var/nix/db"[..], b"lost+found"]);
    let is_kept = |path: &[u8]| {
        kept.iter().any(|top| {
            path.strip_prefix(*top)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        })
    };
    let mut gone = Vec::new();
    tree.walk(|path, _| {
        if !there.contains(path) && !is_kept(path) {
            gone.push(path.to_owned());
        }
    });
    for path in gone {
        if let Some((parent, name)) = place(tree, &path) {
            tree.unlink(parent, name);
        }
    }
}

fn put(tree: &mut Tree, report: &Report, volume: u32, time: Timestamp) -> Result<()> {
    for entry in report.entries.iter().filter(|e| e.record.volume == volume) {
        let path = &entry.record.path;
        if !seeds::is_one(volume, path) {
            put_one(tree, entry, time).with_context(|| format!("/{}", escape::bytes(path)))?;
        }
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
        tree.unlink(parent, name);
    }
    if let RecordKind::Link(first) = &record.kind {
        let target = place(tree, first).and_then(|(parent, name)| tree.lookup(parent, name));
        let target = target.context("the file that it is another name of is not there")?;
        return Ok(tree.link(parent, name, target)?);
    }
    let kind = kind(entry)?;
    tree.insert(parent, name, Inode { metadata, kind })?;
    Ok(())
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
mod tests {
    use super::*;
    use crate::tree::Content;
    use crate::tree::listing::listing;
    use crate::tree::place::make_directories;

    const TIME: Timestamp = Timestamp::from_seconds(100);

    fn entry(volume: u32, path: &str, kind: RecordKind, seconds: i64) -> Entry {
        let content = matches!(kind, RecordKind::File).then(|| Content::bytes(b"new".to_vec()));
        let record = Record {
            volume,
            path: path.into(),
            kind,
            mode: 0o700,
            uid: 1,
            gid: 2,
            mtime: (seconds, 5),
            flags: 0,
            xattrs: Vec::new(),
        };
        Entry { record, content }
    }

    fn before() -> Tree {
        let mut tree = Tree::new(Metadata::new(0o755));
        for path in ["etc/gone/deep", "etc/kept", "nix/store/a", "nix/var/nix/db"] {
            make_directories(&mut tree, Path::new(path), &Metadata::new(0o755)).unwrap();
        }
        let etc = tree.lookup(InodeId::ROOT, b"etc").unwrap();
        for name in ["file", "machine-id"] {
            let inode = Inode {
                metadata: Metadata::new(0o644),
                kind: Kind::File(Content::bytes(b"old file".to_vec())),
            };
            tree.insert(etc, name.as_bytes(), inode).unwrap();
        }
        tree
    }

    #[test]
    fn changes_come_in_and_what_was_deleted_goes() {
        let mut tree = before();
        let report = Report {
            paths: b"\0etc\0etc/kept\0etc/file\0etc/machine-id\0nix\0nix/var\0nix/var/nix\0new\0"
                .into(),
            entries: vec![
                entry(0, "", RecordKind::Directory, 7),
                entry(0, "etc", RecordKind::Directory, 1000),
                entry(0, "etc/file", RecordKind::File, 99),
                entry(0, "etc/kept", RecordKind::Symlink(b"x".to_vec()), 100),
                entry(0, "etc/machine-id", RecordKind::File, 99),
                entry(0, "new", RecordKind::Link(b"etc/file".to_vec()), 99),
                entry(1, "other", RecordKind::File, 99),
            ],
            ..Report::default()
        };
        root(&mut tree, &report, Path::new("/nix/store"), TIME).unwrap();
        assert_eq!(
            listing(&tree),
            "directory 0700 1:2 7.000000005 /\n\
             directory 0700 1:2 100.000000000 /etc\n\
             file 0700 1:2 99.000000005 3 /etc/file\n\
             symlink 0700 1:2 100.000000000 /etc/kept -> x\n\
             file 0644 0:0 1.000000000 8 /etc/machine-id\n\
             file 0700 1:2 99.000000005 3 /new = /etc/file\n\
             directory 0755 0:0 1.000000000 /nix\n\
             directory 0755 0:0 1.000000000 /nix/store\n\
             directory 0755 0:0 1.000000000 /nix/store/a\n\
             directory 0755 0:0 1.000000000 /nix/var\n\
             directory 0755 0:0 1.000000000 /nix/var/nix\n\
             directory 0755 0:0 1.000000000 /nix/var/nix/db\n"
        );
    }

    #[test]
    fn inode_flags_come_in_where_ext4_holds_them() {
        let mut entries = vec![
            entry(0, "etc/kept", RecordKind::Directory, 7),
            entry(0, "etc/file", RecordKind::File, 7),
            entry(0, "etc/link", RecordKind::Symlink(b"x".to_vec()), 7),
        ];
        for entry in &mut entries {
            entry.record.flags = u32::MAX;
        }
        let report = Report {
            paths: b"etc\0etc/kept\0etc/file\0etc/link\0".into(),
            entries,
            ..Report::default()
        };
        let mut tree = before();
        root(&mut tree, &report, Path::new("/nix/store"), TIME).unwrap();
        let text = listing(&tree);
        for expected in [
            "3 /etc/file\n  sync immutable append nodump noatime journal\n",
            " /etc/kept\n  sync immutable append nodump noatime journal dirsync topdir\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert!(text.ends_with(" /etc/link -> x\n"), "{text}");
    }

    #[test]
    fn a_boot_partition_is_all_that_is_on_it_but_seeds() {
        let report = Report {
            entries: vec![
                entry(0, "etc", RecordKind::Directory, 1),
                entry(2, "", RecordKind::Directory, 1),
                entry(2, "loader", RecordKind::Directory, 1),
                entry(2, "loader/loader.conf", RecordKind::File, 1),
                entry(2, "loader/random-seed", RecordKind::File, 1),
            ],
            ..Report::default()
        };
        let text = listing(&boot(&report, 2, TIME).unwrap());
        assert!(text.ends_with("3 /loader/loader.conf\n"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn a_report_that_does_not_fit_is_refused() {
        for (kind, path, message) in [
            (
                RecordKind::File,
                "none/x",
                "/none/x: its directory is not in the image",
            ),
            (
                RecordKind::Link(b"none".to_vec()),
                "x",
                "/x: the file that it is another name of is not there",
            ),
            (RecordKind::File, "etc/..", "/etc/..: not a file name"),
        ] {
            let report = Report {
                paths: b"etc".into(),
                entries: vec![entry(0, path, kind, 1)],
                ..Report::default()
            };
            let error = root(&mut before(), &report, Path::new("/nix/store"), TIME).unwrap_err();
            let text = format!("{error:#}");
            assert!(text.ends_with(message), "{text}");
        }
    }
}
