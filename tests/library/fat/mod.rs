//! FAT boot partitions, read back with `fsck.fat`, mtools and the crate `fatfs`.
//!
//! `FAT_TREES` is the number of random trees (60, and 20 where mtools fill one, too).

mod by_mtools;
mod by_the_kernel;
mod names;
mod what_mkfs_leaves;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use make_disk_image::fs::fat::{self, FatError, FatVolume};
use make_disk_image::layout::MEBIBYTE;
use make_disk_image::spec::Tools;
use make_disk_image::tree::{
    Content, Inode, InodeId, Kind, Metadata, Source, SourceFile, Timestamp, Tree,
};

/// The fixture's programs, which come first in PATH.
fn tools() -> Tools {
    let find = |name: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|directory| directory.join(name))
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("{name} is not installed"))
    };
    tools_of(find("mkfs.fat"))
}

fn tools_of(mkfs_fat: PathBuf) -> Tools {
    let unused = PathBuf::from("/nonexistent");
    Tools {
        bash: unused.clone(),
        mkfs_fat,
        nix_store: unused,
        nixos_install: None,
        qemu_img: None,
        sqfstar: None,
        path: Vec::new(),
        environment: BTreeMap::new(),
    }
}

fn metadata(seconds: i64) -> Metadata {
    let mut metadata = Metadata::new(0o644);
    metadata.mtime = Timestamp {
        seconds,
        nanoseconds: 5,
    };
    metadata
}

/// A tree of (path, time, bytes or, for a directory, nothing), parents first.
fn tree(entries: &[(&str, i64, Option<Content>)]) -> Tree {
    let mut tree = Tree::new(metadata(1));
    for (path, time, content) in entries {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = parent
            .split('/')
            .filter(|name| !name.is_empty())
            .fold(InodeId::ROOT, |id, name| {
                tree.lookup(id, name.as_bytes()).unwrap()
            });
        let kind = match content {
            Some(content) => Kind::File(content.clone()),
            None => Kind::Directory(Default::default()),
        };
        let metadata = metadata(*time);
        tree.insert(parent, name.as_bytes(), Inode { metadata, kind })
            .unwrap();
    }
    tree
}

fn empty() -> Tree {
    tree(&[])
}

fn volume(tree: &Tree, mebibytes: u64) -> FatVolume<'_> {
    FatVolume {
        label: "ESP",
        id: 0xdead_beef,
        length: mebibytes * MEBIBYTE,
        first_sector: 16_384,
        tree,
    }
}

/// The output of `fsck.fat`, which must find no errors.
fn check(image: &Path) -> String {
    let output = Command::new("fsck.fat")
        .args(["-n", "-v"])
        .arg(image)
        .output()
        .expect("running fsck.fat");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{output:?}");
    said
}

/// Copies everything in `image` to `directory`.
fn extract(image: &Path, directory: &Path) {
    let output = Command::new("mcopy")
        .args(["-s", "-m", "-n", "-i"])
        .arg(image)
        .arg("::")
        .arg(directory)
        .env("TZ", "UTC")
        .env("MTOOLS_SKIP_CHECK", "1")
        .output()
        .expect("running mcopy");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn every_size_is_clean_and_as_wide_as_its_clusters_say() {
    let tools = tools();
    let work = tempfile::tempdir().unwrap();
    for (mebibytes, bits) in [
        (1, 12),
        (2, 12),
        (4, 12),
        (8, 12),
        (15, 16),
        (16, 16),
        (24, 16),
        (31, 16),
        (32, 16),
        (33, 32),
        (34, 32),
        (64, 32),
        (92, 32),
        (156, 32),
        (249, 32),
        (256, 32),
        (257, 32),
        (258, 32),
        (260, 32),
        (261, 32),
        (512, 32),
        (513, 32),
        (1024, 32),
        (2048, 32),
        (9000, 32),
    ] {
        let tree = empty();
        let image = fat::make(&tools, &volume(&tree, mebibytes), work.path()).unwrap();
        let said = check(&image);
        assert!(
            said.contains(&format!("{bits} bit entries")),
            "{mebibytes} MiB: {said}"
        );
        let file = fs::metadata(&image).unwrap();
        assert_eq!(file.len(), mebibytes * MEBIBYTE);
        assert!(
            file.blocks() * 512 < 10 * MEBIBYTE + file.len() / 100,
            "{mebibytes} MiB are not sparse"
        );
    }
}

#[test]
fn a_length_at_the_limit_of_fat32_is_right_on_both_sides() {
    let tools = tools();
    let work = tempfile::tempdir().unwrap();
    for (sectors, bits) in [(66_560, "16 bit"), (66_591, "16 bit"), (66_592, "32 bit")] {
        let tree = empty();
        let mut volume = volume(&tree, 1);
        volume.length = sectors * 512;
        let image = fat::make(&tools, &volume, work.path()).unwrap();
        let said = check(&image);
        assert!(said.contains(bits), "{sectors}: {said}");
    }
}

const LONGEST: &str = "loader/l23456789012345678901234567890123456789012345678901234567890123456789\
0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456\
78901234567890123456789012345678901234567890123456789012345678901234567890123456789012345";

/// Files as a boot loader leaves them, and names that are difficult for FAT.
fn boot_files(sources: &Path) -> Vec<(&'static str, i64, Option<Content>)> {
    let bytes = |text: &str| Some(Content::bytes(text.as_bytes().to_vec()));
    let kernel = sources.join("kernel source");
    let data: Vec<u8> = (0..3_000_001_u32).map(|n| n.to_le_bytes()[1]).collect();
    fs::write(&kernel, &data).unwrap();
    let kernel = Some(Content {
        size: 3_000_001,
        source: Source::File(SourceFile::new(sources.into(), "kernel source".as_ref())),
        data: None,
    });
    vec![
        ("EFI", 1, None),
        ("EFI/BOOT", 2_000_000_000, None),
        ("EFI/BOOT/BOOTX64.EFI", 1_000_000_001, kernel.clone()),
        ("EFI/nixos", 1, None),
        (
            "EFI/nixos/0123456789abcdfghijklmnpqrsvwxyz-linux-6.12.44-bzImage.efi",
            1,
            kernel.clone(),
        ),
        (
            "EFI/nixos/0123456789abcdfghijklmnpqrsvwxyz-linux-6.12.45-bzImage.efi",
            4_102_444_799,
            bytes("other"),
        ),
        ("EFI/nixos/.extra-files", 1, None),
        ("loader", 1, None),
        ("loader/entries", 1, None),
        (
            "loader/entries/nixos-generation-1.conf",
            -5,
            bytes("title\n"),
        ),
        (
            "loader/entries/odd {name} $x~1 'a' (b)=c,d;e+f&g]",
            1,
            bytes("odd"),
        ),
        ("loader/ a blank before", 1, bytes("blank")),
        // One name is the short name that FAT would give the other.
        ("loader/longfilename.txt", 1, bytes("long")),
        ("loader/longfi~1.txt", 1, bytes("short")),
        (LONGEST, 1, bytes("255 characters")),
        ("loader/loader.conf", 1, bytes("timeout 5\n")),
        ("loader/random-seed", 1, bytes("")),
    ]
}

#[test]
fn files_come_back_as_they_went_in() {
    let (sources, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for mebibytes in [12, 24, 64, 300] {
        let files = boot_files(sources.path());
        let tree = tree(&files);
        let image = fat::make(&tools(), &volume(&tree, mebibytes), work.path()).unwrap();
        check(&image);
        let out = tempfile::tempdir().unwrap();
        extract(&image, out.path());
        let mut found = Vec::new();
        list(out.path(), "", &mut found);
        let mut expected: Vec<_> = files.iter().map(|(path, ..)| (*path).to_owned()).collect();
        expected.sort();
        assert_eq!(found, expected);
        for (path, time, content) in &files {
            let Some(content) = content else { continue };
            let bytes = fs::read(out.path().join(path)).unwrap();
            match &content.source {
                Source::Bytes(expected) => assert_eq!(bytes, **expected, "{path}"),
                Source::File(file) => assert_eq!(bytes, fs::read(file.path()).unwrap(), "{path}"),
            }
            let clamped = (*time).clamp(315_532_800, 4_354_819_198);
            let mtime = fs::metadata(out.path().join(path)).unwrap().mtime();
            assert_eq!(mtime, clamped / 2 * 2, "{path}");
        }
    }
}

/// Every path below `directory`, in order.
fn list(directory: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{path}/"), found);
        }
        found.push(path);
    }
    if prefix.is_empty() {
        found.sort();
    }
}

#[test]
fn times_out_of_range_are_the_nearest_ones_in_it() {
    let work = tempfile::tempdir().unwrap();
    let file = |time| ("file", time, Some(Content::bytes(Vec::new())));
    for (time, shown) in [
        (i64::MIN, "1980-01-01   0:00"),
        (1, "1980-01-01   0:00"),
        (315_532_860, "1980-01-01   0:01"),
        (4_354_819_138, "2107-12-31  23:58"),
        (i64::MAX, "2107-12-31  23:59"),
    ] {
        let tree = tree(&[("dir", time, None), file(time)]);
        let image = fat::make(&tools(), &volume(&tree, 2), work.path()).unwrap();
        check(&image);
        let output = Command::new("mdir").arg("-i").arg(&image).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.matches(shown).count(), 2, "{time}: {said}");
    }
}

#[test]
fn label_volume_id_and_hidden_sectors_are_in_the_boot_sector() {
    let work = tempfile::tempdir().unwrap();
    let tree = empty();
    let image = fat::make(&tools(), &volume(&tree, 249), work.path()).unwrap();
    let bytes = fs::read(image).unwrap();
    assert_eq!(bytes[0x1c..0x20], 16_384_u32.to_le_bytes());
    assert_eq!(bytes[0x43..0x47], 0xdead_beef_u32.to_le_bytes());
    assert_eq!(bytes[0x47..0x52], *b"ESP        ");
    assert_eq!(bytes[0x18..0x1c], [32, 0, 64, 0]);
    // The length of the partition.
    assert_eq!(bytes[0x20..0x24], 509_952_u32.to_le_bytes());
}

/// Makes the image in `$FAT_TEST`, in the environment that the caller sets up.
#[test]
#[ignore = "run by bytes_do_not_depend_on_the_surroundings"]
fn makes_an_image_for_another_test() {
    let base = PathBuf::from(std::env::var_os("FAT_TEST").unwrap());
    let tools = tools_of(base.join("tools/mkfs.fat"));
    let tree = tree(&boot_files(&base.join("sources")));
    fat::make(&tools, &volume(&tree, 40), &base.join("work")).unwrap();
}

#[test]
fn bytes_do_not_depend_on_the_surroundings() {
    let make = |clock: &str, settings: &str| {
        let base = tempfile::tempdir().unwrap();
        for directory in ["tools", "sources", "work"] {
            fs::create_dir(base.path().join(directory)).unwrap();
        }
        let program = tools().mkfs_fat;
        let wrapper = base.path().join("tools/mkfs.fat");
        let text = format!("#!/bin/sh\nexec {clock} {} \"$@\"\n", program.display());
        fs::write(&wrapper, text).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let script = format!("{settings}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "fat::makes_an_image_for_another_test",
                "--ignored",
            ])
            .env("FAT_TEST", base.path())
            .env("HOME", base.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
        fs::read(base.path().join("work/ESP.fat")).unwrap()
    };
    let plain = make("", "true");
    for (clock, settings) in [
        ("", "umask 077; export TZ=Asia/Kathmandu"),
        // Read-only sources, as in the store.
        ("", "umask 0222"),
        ("", "umask 000; export LC_ALL=C.UTF-8 TZ=America/St_Johns"),
        ("", "export SOURCE_DATE_EPOCH=1700000000"),
        ("faketime -f '@2040-02-03 04:05:06'", "true"),
    ] {
        assert!(plain == make(clock, settings), "{clock} {settings}");
    }
}

#[test]
fn another_time_or_byte_gives_another_image() {
    let work = tempfile::tempdir().unwrap();
    let make = |time, text: &str| {
        let content = Content::bytes(text.as_bytes().to_vec());
        let tree = tree(&[("a", time, Some(content))]);
        fs::read(fat::make(&tools(), &volume(&tree, 2), work.path()).unwrap()).unwrap()
    };
    assert!(make(1_000_000_000, "x") == make(1_000_000_000, "x"));
    assert!(make(1_000_000_000, "x") != make(1_000_000_002, "x"));
    assert!(make(1_000_000_000, "x") != make(1_000_000_000, "y"));
}

/// The error of a tree on a volume of `mebibytes`.
fn refused(entries: &[(&str, i64, Option<Content>)], mebibytes: u64) -> FatError {
    let work = tempfile::tempdir().unwrap();
    let tree = tree(entries);
    fat::make(&tools(), &volume(&tree, mebibytes), work.path()).unwrap_err()
}

#[test]
fn files_that_do_not_fit_are_rejected_with_numbers() {
    let large = Content::bytes(vec![1; 2_000_000]);
    let error = refused(&[("a", 1, Some(large.clone())), ("b", 1, Some(large))], 2);
    assert_eq!(
        error.to_string(),
        "the boot partition ESP of 2097152 bytes has room for 2076672 bytes of files and \
         directories, but 4001792 are needed: increase bootSize by at least 2 MiB"
    );
}

#[test]
fn a_full_root_directory_is_rejected() {
    let names: Vec<String> = (0..300).map(|n| format!("{n:03} ") + "x").collect();
    let entries: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), 1, Some(Content::bytes(Vec::new()))))
        .collect();
    assert_eq!(
        refused(&entries, 24).to_string(),
        "the boot partition ESP needs 601 entries in its root directory, but a FAT this small has \
         room for 512: use fewer or shorter names there, or a bootSize that makes the partition \
         at least 33 MiB"
    );
}

#[test]
fn a_source_that_changed_is_rejected() {
    let sources = tempfile::tempdir().unwrap();
    fs::write(sources.path().join("kernel"), "12345").unwrap();
    let kernel = Content {
        size: 4,
        source: Source::File(SourceFile::new(sources.path().into(), "kernel".as_ref())),
        data: None,
    };
    let error = anyhow::Error::new(refused(&[("kernel", 1, Some(kernel))], 24));
    let error = format!("{error:#}");
    assert!(
        error.ends_with(
            "/kernel has 5 bytes but had 4 when it was listed: it was changed during the build; \
             build again when nothing writes to it"
        ),
        "{error}"
    );
}

#[test]
fn labels_and_names_that_fat_cannot_hold_are_rejected() {
    let work = tempfile::tempdir().unwrap();
    let tree = tree(&[
        ("a", 1, Some(Content::bytes(Vec::new()))),
        ("A", 1, None),
        ("b:", 1, None),
    ]);
    let error = fat::make(&tools(), &volume(&tree, 24), work.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 entries cannot be stored on a FAT boot partition:\n  /a: differs only in case from /A; \
         FAT names are case-insensitive\n  /b:: FAT does not allow ':' in names"
    );
    for label in ["", "esp", "../x", "ABCDEFGHIJKL"] {
        let mut volume = volume(&tree, 24);
        volume.label = label;
        let error = fat::make(&tools(), &volume, work.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{label:?} is not a valid FAT label: expected 1 to 11 characters from A-Z, 0-9, _ and -"
            )
        );
    }
}
