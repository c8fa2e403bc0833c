//! Our bytes are the same as those that mtools write.

use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::common::runner::runner;

/// Runs one of the mtools on an image, with settings under which all versions behave alike.
fn run(program: &str, image: &Path, time: i64, arguments: &[&str]) {
    let output = Command::new(program)
        .arg("-i")
        .arg(image)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("SOURCE_DATE_EPOCH", time.to_string())
        .env("MTOOLS_SKIP_CHECK", "1")
        .env("MTOOLS_FAT_COMPATIBILITY", "0")
        .env("MTOOLS_LOWER_CASE", "0")
        .env("MTOOLS_NO_VFAT", "0")
        .env("MTOOLS_DOTTED_DIR", "0")
        .env("MTOOLS_NAME_NUMERIC_TAIL", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

/// Names that need a long entry. Whether mtools give other names one depends on what they did
/// before.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{9,12}",
        "[A-Za-z0-9 ~.+,;=(){}'&%$#@!^_`-]{1,60}[a-z]\\.[a-z]{4,6}",
        "(same|Same|other) name( [0-9])?\\.(efi|cfg|conf)",
        "[0-9a-z]{32}-linux-6\\.12\\.[0-9]-bzImage\\.efi",
    ]
    .prop_filter("what mtools take for another", |name| {
        // `~` without a number makes a short name with a NUL in it.
        !name.contains('~') && !name.starts_with(' ')
    })
}

/// A directory, or a file of that many bytes, in an existing directory.
type Step = (usize, String, Option<usize>, i64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![1 => Just(None), 3 => (0usize..20_000).prop_map(Some)];
    let time = 315_532_800i64..4_354_819_198;
    prop::collection::vec((any::<usize>(), name(), size, time), 0..40)
}

/// The part of `steps` that FAT can represent, in the order of a walk.
fn entries(steps: &[Step]) -> Vec<(String, i64, Option<usize>)> {
    let mut entries: Vec<(String, i64, Option<usize>)> = Vec::new();
    let mut directories = vec![String::new()];
    for (at, name, size, time) in steps {
        let path = format!("{}{name}", directories[at % directories.len()]);
        if entries
            .iter()
            .any(|(other, ..)| other.eq_ignore_ascii_case(&path))
        {
            continue;
        }
        if size.is_none() {
            directories.push(format!("{path}/"));
        }
        entries.push((path, *time, *size));
    }
    entries.sort_by(|(a, ..), (b, ..)| a.split('/').cmp(b.split('/')));
    entries
}

fn are_the_same(steps: &[Step], mebibytes: u64) {
    let work = tempfile::tempdir().unwrap();
    let entries = entries(steps);
    let bytes = |size: usize| -> Vec<u8> { (0..size).map(|n| n.to_le_bytes()[0]).collect() };
    let contents: Vec<_> = entries
        .iter()
        .map(|(path, time, size)| {
            let content = size.map(|size| Content::bytes(bytes(size)));
            (path.as_str(), *time, content)
        })
        .collect();
    let tree = tree(&contents);
    let volume = volume(&tree, mebibytes);
    let ours = fat::make(&tools(), &volume, work.path()).unwrap();
    check(&ours);

    let none = empty();
    let empty = FatVolume {
        tree: &none,
        ..volume
    };
    let other = tempfile::tempdir().unwrap();
    let theirs = fat::make(&tools(), &empty, other.path()).unwrap();
    let source = other.path().join("source");
    for (path, time, size) in &entries {
        let target = format!("::/{path}");
        match size {
            None => run("mmd", &theirs, *time, &[&target]),
            Some(size) => {
                fs::write(&source, bytes(*size)).unwrap();
                run(
                    "mcopy",
                    &theirs,
                    *time,
                    &[source.to_str().unwrap(), &target],
                );
            }
        }
    }
    let cmp = Command::new("cmp").args([ours, theirs]).output().unwrap();
    let said = String::from_utf8_lossy(&cmp.stdout);
    assert!(
        cmp.status.success(),
        "{said} of {mebibytes} MiB: {entries:#?}"
    );
}

#[test]
fn long_names_and_files_are_written_as_mtools_write_them() {
    let sizes = prop_oneof![Just(3u64), Just(24), Just(34)];
    runner("FAT_TREES", 20)
        .run(&(steps(), sizes), |(steps, mebibytes)| {
            are_the_same(&steps, mebibytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn larger_clusters_are_written_as_mtools_write_them() {
    let step = |n: usize| {
        (
            n,
            format!("number {n} of some"),
            (!n.is_multiple_of(5)).then_some(n * 997),
            1_000_000_000,
        )
    };
    are_the_same(&(0..30).map(step).collect::<Vec<_>>(), 300);
}
