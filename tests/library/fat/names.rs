//! Names: everything that VFAT can hold is read back unchanged.

use std::collections::{BTreeSet, HashSet};
use std::io::Read;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::common::runner::runner;

/// Any name, and many similar ones.
fn name() -> impl Strategy<Value = String> {
    let unicode = prop_oneof![
        any::<char>(),
        prop::char::range(' ', '~'),
        prop::char::range('\u{80}', '\u{24f}'),
        prop::char::range('\u{1f300}', '\u{1faff}'),
    ];
    let text = |length| prop::collection::vec(unicode.clone(), length);
    prop_oneof![
        "[a-cA-C1~ .\\[\\]+]{1,14}",
        text(1..30).prop_map(String::from_iter),
        text(100..256).prop_map(String::from_iter),
    ]
    .prop_map(|name| {
        // The others cannot be represented in FAT; the unit tests have the list.
        let bad = |c: &char| *c >= ' ' && *c != '\u{ffff}' && !"\"*/:<>?\\|".contains(*c);
        let mut units = 0;
        let fits = |c: &char| {
            units += c.len_utf16();
            units <= 255
        };
        let name: String = name.chars().filter(bad).take_while(fits).collect();
        let name = name.trim_end_matches(['.', ' ']);
        if name.is_empty() {
            "x".to_owned()
        } else {
            name.to_owned()
        }
    })
}

pub type Step = (usize, String, Option<Vec<u8>>);

/// Paths, and the bytes of files.
pub type Found = BTreeSet<(String, Option<Vec<u8>>)>;

pub fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let content = prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..3000));
    prop::collection::vec((any::<usize>(), name(), content), count)
}

/// The tree of `steps` without names that FAT cannot distinguish, and its (path, bytes).
pub fn made(steps: &[Step]) -> (Tree, Found) {
    let mut tree = empty();
    let (mut taken, mut expected) = (HashSet::new(), BTreeSet::new());
    let mut directories = vec![(InodeId::ROOT, String::new())];
    for (at, name, content) in steps {
        let (parent, above) = &directories[at % directories.len()];
        let path = format!("{above}{name}");
        if !taken.insert((*parent, name.to_uppercase())) {
            continue;
        }
        let kind = match content {
            Some(bytes) => Kind::File(Content::bytes(bytes.clone())),
            None => Kind::Directory(Default::default()),
        };
        let metadata = metadata(1_000_000_000);
        let id = tree
            .insert(*parent, name.as_bytes(), Inode { metadata, kind })
            .unwrap();
        if content.is_none() {
            directories.push((id, format!("{path}/")));
        }
        expected.insert((path, content.clone()));
    }
    (tree, expected)
}

/// Everything that the crate `fatfs` finds below a directory.
fn read(directory: &fatfs::Dir<'_, fs::File>, above: &str, found: &mut Found) {
    let mut short = HashSet::new();
    for entry in directory.iter().map(Result::unwrap) {
        let name = entry.file_name();
        assert!(short.insert(entry.short_file_name()), "{above}{name}");
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{above}{name}");
        let mut bytes = None;
        if entry.is_dir() {
            read(&entry.to_dir(), &format!("{path}/"), found);
        } else {
            entry
                .to_file()
                .read_to_end(bytes.insert(Vec::new()))
                .unwrap();
        }
        found.insert((path, bytes));
    }
}

fn come_back(steps: &[Step], mebibytes: u64) {
    let work = tempfile::tempdir().unwrap();
    let (tree, expected) = made(steps);
    let image = fat::make(&tools(), &volume(&tree, mebibytes), work.path()).unwrap();
    check(&image);
    assert_eq!(found(&image), expected);
}

/// Everything that the crate `fatfs` finds in a file system.
pub fn found(image: &Path) -> Found {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(image)
        .unwrap();
    let file_system = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).unwrap();
    let mut found = BTreeSet::new();
    read(&file_system.root_dir(), "", &mut found);
    found
}

#[test]
fn every_name_that_vfat_holds_comes_back() {
    let sizes = prop_oneof![Just(3u64), Just(24), Just(34)];
    runner("FAT_TREES", 60)
        .run(&(steps(0..60), sizes), |(steps, mebibytes)| {
            come_back(&steps, mebibytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn brackets_umlauts_and_devices_are_names() {
    let file = |name: &str| (0, name.to_owned(), Some(name.into()));
    come_back(
        &[
            "Größe.txt",
            "a[1].txt",
            "con",
            "LPT1.x",
            "\u{7f}",
            "🎉🎉.conf",
            "ÿ~1.\u{fffe}",
        ]
        .map(file),
        34,
    );
}

#[test]
fn mtools_read_names_of_unicode_s_first_plane() {
    let names = [
        "Größe.txt",
        "a[1].txt",
        "日本語のファイル.conf",
        "a b+c,d;e=f",
    ];
    let entries = names.map(|name| (name, 1, Some(Content::bytes(name.into()))));
    let tree = tree(&entries);
    let work = tempfile::tempdir().unwrap();
    let image = fat::make(&tools(), &volume(&tree, 34), work.path()).unwrap();
    let output = Command::new("mdir")
        .args(["-b", "-i"])
        .arg(image)
        .arg("::")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<_> = said
        .lines()
        .map(|line| line.trim_start_matches("::/"))
        .collect();
    assert_eq!(found, BTreeSet::from(names));
}

#[test]
fn directories_are_as_large_as_they_may_be() {
    let name = |number: usize| format!("{number:05} and a name of three entries");
    let directory = |count: usize| {
        let file = |n| (1, name(n), Some(Vec::new()));
        let mut steps = vec![(0, "top".to_owned(), None)];
        steps.extend((0..count).map(file));
        made(&steps).0
    };
    let work = tempfile::tempdir().unwrap();
    // Four entries each, and `.` and `..`.
    let tree = directory(16_383);
    let image = fat::make(&tools(), &volume(&tree, 64), work.path()).unwrap();
    check(&image);
    let tree = directory(16_384);
    let error = fat::make(&tools(), &volume(&tree, 64), work.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 entry cannot be stored on a FAT boot partition:\n  /top: its names need more than 65536 \
         directory entries, which is FAT's limit"
    );
}
