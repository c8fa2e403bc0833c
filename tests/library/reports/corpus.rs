//! Reports that once did harm, each with a part of the message that rejects it.

use crate::common::record as forged;
use make_disk_image::guest::job::Job;
use make_disk_image::guest::report::RecordKind;

use super::forge::{Case, Change, Piece};

/// A file with one byte, or something that has no bytes.
fn record(path: &str, kind: RecordKind) -> Piece {
    let bytes = match kind {
        RecordKind::File => b"x".to_vec(),
        _ => Vec::new(),
    };
    Piece::File(forged::record(path, kind), bytes)
}

fn symlink(path: &str) -> Piece {
    record(path, RecordKind::Symlink(b"/evil".to_vec()))
}

fn link(path: &str, first: &str) -> Piece {
    record(path, RecordKind::Link(first.into()))
}

/// Valid records.
pub fn good() -> Vec<Piece> {
    vec![
        record("", RecordKind::Directory),
        record("etc", RecordKind::Directory),
        link("etc/twin", "etc/new"),
        record("etc/new", RecordKind::File),
        record("nix/var", RecordKind::Directory),
        Piece::Gone(b"etc/directory/deep\0".to_vec()),
        Piece::Area("mbr".to_owned(), 440),
    ]
}

pub fn found(job: &Job) -> Vec<(Vec<u8>, &'static str)> {
    let pieces = |pieces: Vec<Piece>| Case {
        pieces,
        ..Case::default()
    };
    let changed = |change| Case {
        pieces: good(),
        changes: vec![change],
        ..Case::default()
    };
    let host = "a guest cannot change the store, the Nix database or lost+found";
    let cases = [
        // Caused an endless walk, until memory ran out.
        (
            pieces(vec![link("etc/directory/loop", "etc")]),
            "/etc/directory/loop: it is a hard link to /etc, which is a directory",
        ),
        // Put files into the closure, and replaced the store and the database.
        (
            pieces(vec![record("nix/store/evil", RecordKind::File)]),
            host,
        ),
        (
            pieces(vec![record("nix/store/a/bin/program", RecordKind::File)]),
            host,
        ),
        (pieces(vec![symlink("nix/store")]), host),
        (pieces(vec![symlink("nix")]), host),
        (
            pieces(vec![record("nix/var/nix/db/db.sqlite", RecordKind::File)]),
            host,
        ),
        (pieces(vec![symlink("nix/var/nix/db")]), host),
        (pieces(vec![symlink("nix/var")]), host),
        (pieces(vec![Piece::Gone(b"nix\0".to_vec())]), host),
        // Another name through which the file could be changed.
        (pieces(vec![link("evil", "nix/store/a/bin/program")]), host),
        // Boot code that continued into the partition table.
        (
            pieces(vec![Piece::Area("mbr".to_owned(), 512)]),
            "area mbr of the disk: it has 512 bytes; the limit is 440",
        ),
        // Took twice the memory that a header declares.
        (
            changed(Change::Size(2, 1_300_000_000)),
            "it has 1300000000 bytes; the limit is 4194304",
        ),
        // A TiB of zeros.
        (
            changed(Change::Type(3, b'S')),
            "expected a regular file, found type S",
        ),
        // Terminal control bytes, in the crate's own message.
        (changed(Change::Byte(124, 0x1b)), "\\u{1b}"),
    ];
    cases
        .into_iter()
        .map(|(case, message)| (case.bytes(job), message))
        .collect()
}
