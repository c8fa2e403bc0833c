//! The checkers of root file systems: each type's own tools. What `inspect` says is compared with them, too.

use std::path::Path;
use std::process::Command;

use super::{command, inspect, next, oracles, run, said, stdout};

/// The type of the file system at the byte `start` of a raw image, as `blkid` names it.
pub fn kind(raw: &Path, start: u64) -> String {
    let offset = start.to_string();
    let text = stdout(
        command("blkid")
            .args(["-p", "-o", "value", "-s", "TYPE", "-O", &offset])
            .arg(raw),
    );
    text.trim().to_owned()
}

/// Checks a root file system at the byte `start` of a raw image. Its `length` is in bytes; `directory` is for
/// a copy of it.
///
/// # Panics
/// If its checker finds anything, or if there is no file system.
pub fn check(raw: &Path, start: u64, length: u64, directory: &Path) {
    let kind = kind(raw, start);
    if kind.starts_with("ext") {
        return oracles::check_ext4(raw, start);
    }
    let alone = directory.join("root");
    if start == 0 {
        check_alone(&kind, raw);
    } else {
        oracles::cut(raw, start, length, &alone);
        check_alone(&kind, &alone);
        std::fs::remove_file(&alone).unwrap();
    }
}

/// Checks a file that is a file system of this kind and nothing else, and what `inspect` says about it.
///
/// # Panics
/// As [`check`], or if `inspect` says something else than the tools.
pub fn check_alone(kind: &str, image: &Path) {
    let (mut checker, complaint) = checker(kind);
    inspect::roots::agrees(image);
    checker.arg(image);
    let output = run(&mut checker);
    let text = said(&output);
    assert!(
        output.status.success() && complaint.is_none_or(|word| !text.contains(word)),
        "{checker:?}: {}\n{text}",
        output.status
    );
}

/// The checker of a kind, and a word that it prints if it finds something and exits with 0 nevertheless.
fn checker(kind: &str) -> (Command, Option<&'static str>) {
    let (program, arguments, complaint): (&str, &[&str], _) = match kind {
        "btrfs" => (
            "usr/bin/btrfs",
            &["check", "--readonly", "--check-data-csum"],
            Some("ERROR"),
        ),
        "erofs" => ("usr/bin/fsck.erofs", &[], Some("<E>")),
        "f2fs" => ("usr/sbin/fsck.f2fs", &["--dry-run", "-f"], Some("[FIX]")),
        "squashfs" => ("usr/bin/unsquashfs", &["-lln"], Some("FATAL")),
        "xfs" => ("usr/sbin/xfs_repair", &["-n", "-f"], Some("would")),
        other => panic!("no checker for a file system of type {other:?}"),
    };
    let mut command = next::program(program);
    command.args(arguments);
    (command, complaint)
}
