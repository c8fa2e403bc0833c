use super::*;
use crate::tree::Content;
use crate::tree::listing::listing;
use crate::tree::place::make_directories;

const TIME: Timestamp = Timestamp::from_seconds(100);
const STORE: &str = "/nix/store";

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
        sparse: None,
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
fn applies_changes_and_deletions() {
    let mut tree = before();
    let report = Report {
        gone: b"etc/gone\0etc/gone/deep\0".into(),
        entries: vec![
            entry(0, "", RecordKind::Directory, 7),
            entry(0, "etc", RecordKind::Directory, 1000),
            entry(0, "etc/file", RecordKind::File, 99),
            entry(0, "etc/kept", RecordKind::Symlink(b"x".to_vec()), 100),
            entry(0, "etc/machine-id", RecordKind::File, 99),
            entry(0, "new", RecordKind::Link(b"etc/file".to_vec()), 99),
            entry(0, "nix", RecordKind::Directory, 1),
            entry(0, "nix/var", RecordKind::Directory, 1),
            entry(1, "other", RecordKind::File, 99),
        ],
        ..Report::default()
    };
    root(&mut tree, &report, STORE.as_ref(), TIME).unwrap();
    assert_eq!(
        listing(&tree),
        "directory 0700 1:2 7.000000005 /\n\
         directory 0700 1:2 100.000000000 /etc\n\
         file 0700 1:2 99.000000005 3 /etc/file\n\
         symlink 0700 1:2 100.000000000 /etc/kept -> x\n\
         file 0644 0:0 1.000000000 8 /etc/machine-id\n\
         file 0700 1:2 99.000000005 3 /new = /etc/file\n\
         directory 0700 1:2 1.000000005 /nix\n\
         directory 0755 0:0 1.000000000 /nix/store\n\
         directory 0755 0:0 1.000000000 /nix/store/a\n\
         directory 0700 1:2 1.000000005 /nix/var\n\
         directory 0755 0:0 1.000000000 /nix/var/nix\n\
         directory 0755 0:0 1.000000000 /nix/var/nix/db\n"
    );
}

#[test]
fn keeps_the_inode_flags_that_ext4_supports() {
    let mut entries = vec![
        entry(0, "etc/kept", RecordKind::Directory, 7),
        entry(0, "etc/file", RecordKind::File, 7),
        entry(0, "etc/link", RecordKind::Symlink(b"x".to_vec()), 7),
    ];
    for entry in &mut entries {
        entry.record.flags = u32::MAX;
    }
    let report = Report {
        entries,
        ..Report::default()
    };
    let mut tree = before();
    root(&mut tree, &report, STORE.as_ref(), TIME).unwrap();
    let text = listing(&tree);
    for expected in [
        "3 /etc/file\n  sync immutable append nodump noatime journal\n",
        " /etc/kept\n  sync immutable append nodump noatime journal dirsync topdir\n",
        " /etc/link -> x\nfile ",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_boot_partition_has_all_its_files_except_seeds() {
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

fn merge_error(gone: &[u8], entries: Vec<Entry>) -> String {
    let report = Report {
        gone: gone.into(),
        entries,
        ..Report::default()
    };
    let mut tree = before();
    let error = root(&mut tree, &report, STORE.as_ref(), TIME).unwrap_err();
    format!("{error:#}")
}

#[test]
fn rejects_reports_that_do_not_fit_the_tree() {
    for (kind, path, message) in [
        (
            RecordKind::File,
            "none/x",
            "/none/x: its parent directory is not in the image",
        ),
        (
            RecordKind::Link(b"none".to_vec()),
            "x",
            "/x: it is a hard link to a file that does not exist",
        ),
        (
            RecordKind::Link(b"x".to_vec()),
            "x",
            "/x: it is a hard link to a file that does not exist",
        ),
        (RecordKind::File, "etc/..", "/etc/..: not a valid file name"),
        (
            RecordKind::File,
            "etc",
            "/etc: it would replace a directory that still has entries",
        ),
        // It would make a cycle.
        (
            RecordKind::Link(b"etc".to_vec()),
            "etc/kept/x",
            "/etc/kept/x: it is a hard link to /etc, which is a directory",
        ),
    ] {
        let text = merge_error(b"", vec![entry(0, path, kind, 1)]);
        assert!(text.ends_with(message), "{text}");
    }
    for (gone, message) in [
        (&b"none\0"[..], "deleting /none: it is not in the image"),
        (
            b"etc/gone\0",
            "deleting /etc/gone: it is a directory that still has entries",
        ),
        (
            b"etc/file\0etc/file\0",
            "deleting /etc/file: it is not in the image",
        ),
    ] {
        let text = merge_error(gone, Vec::new());
        assert!(text.ends_with(message), "{text}");
    }
}

/// A program in the guest can forge a report, with files in the store, or links that replace the store
/// and the database.
#[test]
fn rejects_changes_of_protected_paths() {
    let symlink = || RecordKind::Symlink(b"/evil".to_vec());
    let link = |first: &str| RecordKind::Link(first.into());
    for (path, kind) in [
        ("nix/store/a/evil", RecordKind::File),
        ("nix/store/evil", RecordKind::Directory),
        ("nix/store/a", RecordKind::Directory),
        ("nix/store", symlink()),
        ("nix/store", RecordKind::Directory),
        ("nix/var/nix/db/db.sqlite", RecordKind::File),
        ("nix/var/nix/db", RecordKind::Directory),
        ("nix/var/nix", symlink()),
        ("nix/var", RecordKind::File),
        ("nix", link("etc/file")),
        ("lost+found/x", RecordKind::File),
        ("lost+found", RecordKind::File),
        ("evil", link("nix/store/a/file")),
        ("evil", link("nix/store/a")),
        ("evil", link("nix/var/nix/db/db.sqlite")),
    ] {
        let text = merge_error(b"", vec![entry(0, path, kind, 1)]);
        assert!(text.ends_with(&format!("/{path}: {FORBIDDEN}")), "{text}");
    }
    for path in [
        "nix",
        "nix/store",
        "nix/store/a",
        "nix/var/nix/db",
        "nix/var",
        "lost+found",
    ] {
        let text = merge_error(format!("{path}\0").as_bytes(), Vec::new());
        assert!(
            text.ends_with(&format!("deleting /{path}: {FORBIDDEN}")),
            "{text}"
        );
    }
    let text = merge_error(b"\0", Vec::new());
    assert!(
        text.ends_with(&format!("deleting /: {FORBIDDEN}")),
        "{text}"
    );
}

#[test]
fn counts_the_bytes_of_the_paths_that_may_be_deleted() {
    // etc, etc/file, etc/gone, etc/gone/deep, etc/kept, etc/machine-id
    let expected = 4 + 9 + 9 + 14 + 9 + 15;
    assert_eq!(length_of_paths(&before(), STORE.as_ref()), expected);
}
