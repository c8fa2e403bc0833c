//! Tests of what is left out and what is kept.

use std::path::Path;

use super::*;
use crate::guest::report::Record;
use crate::tree::place::make_directories;
use crate::tree::{Inode, Metadata};

fn entry(volume: u32, path: &str, kind: RecordKind, bytes: &str) -> Entry {
    let content = matches!(kind, RecordKind::File).then(|| Content::bytes(bytes.into()));
    let record = Record {
        volume,
        path: path.into(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: (1, 0),
        xattrs: Vec::new(),
        flags: 0,
        sparse: None,
    };
    Entry { record, content }
}

fn symlink(target: &str) -> RecordKind {
    RecordKind::Symlink(target.into())
}

/// Returns which of these entries are left out, sorted. The store has a declared `/etc/machine-id` and,
/// through a link, a declared `/etc/ssh/ssh_host_rsa_key`.
fn left_out(entries: Vec<Entry>) -> Vec<String> {
    let mut tree = Tree::new(Metadata::new(0o755));
    let metadata = Metadata::new(0o755);
    let mut insert = |directory: &str, name: &str, kind| {
        let parent = make_directories(&mut tree, Path::new(directory), &metadata).unwrap();
        let inode = Inode {
            metadata: Metadata::new(0o644),
            kind,
        };
        tree.insert(parent, name.as_bytes(), inode).unwrap();
    };
    let file = |bytes: &str| Kind::File(Content::bytes(bytes.into()));
    let link = |target: &str| Kind::Symlink(target.as_bytes().into());
    insert("nix/store/e/etc", "machine-id", file("declared"));
    insert(
        "nix/store/e/etc/ssh",
        "ssh_host_rsa_key",
        link("/nix/store/../store/./key"),
    );
    insert("nix/store", "key", file("key"));
    insert("nix/store", "loop", link("loop"));
    // From `contents`.
    insert("var/lib/systemd", "credential.secret", file("given"));
    insert("var/lib/systemd", "random-seed", file("given"));
    let report = Report {
        entries,
        ..Report::default()
    };
    let mut paths = Vec::new();
    for volume in [0, 1] {
        let seeds = of(&tree, &report, volume).into_iter();
        paths.extend(seeds.map(|path| format!("{volume} {}", String::from_utf8_lossy(path))));
    }
    paths.sort();
    paths
}

#[test]
fn leaves_out_seeds_and_keeps_other_files() {
    for (volume, path, seed) in [
        (1, "loader/random-seed", true),
        (1, "LOADER/RANDOM-SEED", true),
        (1, "loader/loader.conf", false),
        (0, "loader/random-seed", false),
        (0, "boot/loader/random-seed", true),
        (0, "etc/machine-id", true),
        (0, ".rw-etc/upper/machine-id", true),
        (0, ".rw-etc/upper/ssh/ssh_host_rsa_key", true),
        (0, "etc/ssh/ssh_host_ed25519_key", true),
        (0, "etc/ssh/ssh_host_ed25519_key.pub", true),
        (0, "etc/ssh/ssh_config", false),
        (0, "home/etc/machine-id", false),
    ] {
        let found = left_out(vec![entry(volume, path, RecordKind::File, "random")]);
        let expected: &[String] = &[format!("{volume} {path}")];
        assert_eq!(found, if seed { expected } else { &[] }, "{path}");
    }
}

#[test]
fn keeps_what_the_configuration_declares() {
    let etc = || entry(0, "etc/static", symlink("/nix/store/e/etc"), "");
    let file = |path: &str, bytes: &str| entry(0, path, RecordKind::File, bytes);
    for (entries, expected) in [
        // Links contain nothing random, wherever they lead.
        (
            vec![entry(
                0,
                "etc/machine-id",
                symlink("/etc/static/machine-id"),
                "",
            )],
            &[][..],
        ),
        (
            vec![entry(0, "etc/machine-id", symlink("/nix/store/x"), "")],
            &[],
        ),
        (
            vec![entry(
                0,
                ".rw-etc/upper/machine-id",
                symlink("/nix/store/x"),
                "",
            )],
            &[],
        ),
        (
            vec![entry(
                0,
                "var/lib/dbus/machine-id",
                symlink("../../../etc/machine-id"),
                "",
            )],
            &[],
        ),
        (
            vec![entry(0, "etc/machine-id", symlink("machine-id"), "")],
            &[],
        ),
        // Copies of files in /etc/static.
        (vec![etc(), file("etc/machine-id", "declared")], &[]),
        (
            vec![etc(), file("etc/machine-id", "random")],
            &["0 etc/machine-id"],
        ),
        (
            vec![file("etc/machine-id", "declared")],
            &["0 etc/machine-id"],
        ),
        (vec![etc(), file("etc/ssh/ssh_host_rsa_key", "key")], &[]),
        (
            vec![
                entry(0, "etc/static", symlink("/nix/store/loop"), ""),
                file("etc/machine-id", "x"),
            ],
            &["0 etc/machine-id"],
        ),
        // The placeholders of machine-id(5) for a first boot.
        (vec![file("etc/machine-id", "")], &[]),
        (vec![file("etc/machine-id", "uninitialized\n")], &[]),
        (
            vec![file("var/lib/systemd/credential.secret", "given")],
            &[],
        ),
        (
            vec![file("var/lib/systemd/random-seed", "random")],
            &["0 var/lib/systemd/random-seed"],
        ),
        (
            vec![entry(0, "etc/machine-id", RecordKind::Directory, "")],
            &[],
        ),
    ] {
        assert_eq!(left_out(entries), expected);
    }
}

#[test]
fn leaves_out_all_names_of_a_seed() {
    let entries = vec![
        entry(0, "etc/machine-id", symlink("../persist/./id"), ""),
        entry(0, "persist/id", RecordKind::File, "random"),
        entry(
            0,
            "persist/twin",
            RecordKind::Link(b"persist/id".to_vec()),
            "",
        ),
        entry(0, "srv/key", RecordKind::File, "random"),
        entry(
            0,
            "etc/ssh/ssh_host_x_key",
            RecordKind::Link(b"srv/key".to_vec()),
            "",
        ),
        entry(0, "srv/other", RecordKind::File, "random"),
    ];
    assert_eq!(
        left_out(entries),
        [
            "0 etc/ssh/ssh_host_x_key",
            "0 persist/id",
            "0 persist/twin",
            "0 srv/key"
        ]
    );
}
