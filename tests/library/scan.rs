//! Scans of random directories against find, stat and getfattr.
//!
//! `SCAN_TREES` is the number of random directories (100).

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::listing;
use make_disk_image::stage::scan::{self, Policy};
use proptest::prelude::*;

/// What happens in an existing directory. Numbers are taken modulo the number of directories.
#[derive(Debug, Clone)]
enum Step {
    Directory(usize, Vec<u8>, u32),
    File(usize, Vec<u8>, u32, Vec<u8>),
    Symlink(usize, Vec<u8>, Vec<u8>),
    Link(usize, Vec<u8>, usize),
    Fifo(usize, Vec<u8>),
    Device(usize, Vec<u8>, u8, u32),
    Attribute(usize, u8, Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = |length: std::ops::Range<usize>| {
        let byte = any::<u8>().prop_map(|byte| if matches!(byte, 0 | b'/') { b' ' } else { byte });
        prop::collection::vec(byte, length)
    };
    let name = || {
        let random = bytes(1..256).prop_filter("a name", |name| *name != b"." && *name != b"..");
        prop_oneof!["[a-c-]{1,2}".prop_map(String::into_bytes), random]
    };
    let mode = || 0..0o10000u32;
    let at = any::<usize>;
    let step = prop_oneof![
        3 => (at(), name(), mode()).prop_map(|(a, b, c)| Step::Directory(a, b, c)),
        4 => (at(), name(), mode(), bytes(0..20)).prop_map(|(a, b, c, d)| Step::File(a, b, c, d)),
        2 => (at(), name(), bytes(1..1000)).prop_map(|(a, b, c)| Step::Symlink(a, b, c)),
        2 => (at(), name(), at()).prop_map(|(a, b, c)| Step::Link(a, b, c)),
        1 => (at(), name()).prop_map(|(a, b)| Step::Fifo(a, b)),
        1 => (at(), name(), any::<u8>(), 0..1u32 << 20)
            .prop_map(|(a, b, c, d)| Step::Device(a, b, c, d)),
        1 => (at(), any::<u8>(), bytes(0..30)).prop_map(|(a, b, c)| Step::Attribute(a, b, c)),
    ];
    prop::collection::vec(step, 0..40)
}

/// Impossible steps (a name is taken, a path is too long) are skipped.
fn build(top: &Path, steps: &[Step]) {
    let mut directories = vec![top.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    for step in steps {
        let path = |at: &usize, name: &[u8]| {
            directories[at % directories.len()].join(OsStr::from_bytes(name))
        };
        match step {
            Step::Directory(at, name, mode) => {
                let path = path(at, name);
                if fs::create_dir(&path).is_ok() {
                    fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
                    directories.push(path);
                }
            }
            Step::File(at, name, mode, bytes) => {
                let path = path(at, name);
                if fs::symlink_metadata(&path).is_err() && fs::write(&path, bytes).is_ok() {
                    fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
                    files.push(path);
                }
            }
            Step::Symlink(at, name, target) => {
                let path = path(at, name);
                let _ = symlink(OsStr::from_bytes(target), path);
            }
            Step::Link(at, name, file) if !files.is_empty() => {
                let _ = fs::hard_link(&files[file % files.len()], path(at, name));
            }
            Step::Fifo(at, name) => mknod(&path(at, name), &["p"]),
            Step::Device(at, name, major, minor) => {
                let kind = if minor % 2 == 0 { "b" } else { "c" };
                mknod(
                    &path(at, name),
                    &[kind, &major.to_string(), &minor.to_string()],
                );
            }
            Step::Attribute(file, name, value) if !files.is_empty() => {
                let space = if name % 2 == 0 { "user" } else { "trusted" };
                let file = &files[file % files.len()];
                let name = format!("{space}.n{name}");
                listing::output(
                    Command::new("setfattr")
                        .args(["-n", &name, "-v", &hexadecimal(value), "--"])
                        .arg(file),
                );
            }
            Step::Link(..) | Step::Attribute(..) => {}
        }
    }
    for (number, path) in directories.iter().chain(&files).enumerate() {
        let number = u32::try_from(number).unwrap();
        let time = UNIX_EPOCH + Duration::new(1_000_003, 7).saturating_mul(number);
        fs::File::open(path).unwrap().set_modified(time).unwrap();
    }
}

fn mknod(path: &Path, numbers: &[&str]) {
    if fs::symlink_metadata(path).is_err() {
        // A path too long for mknod is treated like one that is taken.
        let _ = Command::new("mknod")
            .arg("--")
            .arg(path)
            .args(numbers)
            .status();
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

fn is_what_find_lists(steps: &[Step]) {
    let top = tempfile::tempdir().unwrap();
    build(top.path(), steps);
    let tree = scan::root(top.path(), Policy::FAITHFUL).unwrap();
    let ours = make_disk_image::tree::listing::listing(&tree);
    let theirs = listing::of_directory(top.path(), i64::MAX.cast_unsigned());
    assert_eq!(ours, theirs);
}

#[test]
fn a_scan_matches_find() {
    listing::require_root();
    crate::common::runner::runner("SCAN_TREES", 100)
        .run(&steps(), |steps| {
            is_what_find_lists(&steps);
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_attribute_name_may_be_a_prefix_of_another() {
    listing::require_root();
    is_what_find_lists(&[
        Step::File(0, b"a".to_vec(), 0o644, Vec::new()),
        Step::Attribute(0, 216, vec![0xab]),
        Step::Attribute(0, 2, vec![0x20]),
        Step::Attribute(0, 22, Vec::new()),
    ]);
}
