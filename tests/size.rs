//! How large a disk of automatic size is: for what users may fill, and against nixpkgs' formula.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::program::Attributes;
use common::{command, oracles, scratch, stdout};

const MIB: u64 = 1 << 20;

/// A number of `dumpe2fs -h`.
fn figure(dump: &str, name: &str) -> u64 {
    let line = dump
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {dump}"))
        .trim()
        .parse()
        .unwrap()
}

/// Of a file system, in bytes: what an ordinary user can fill, and what nixpkgs' formula has no
/// place for, the blocks reserved for root and the inode tables.
fn figures(file_system: &Path) -> (u64, u64) {
    let dump = stdout(command("dumpe2fs").arg("-h").arg(file_system));
    let block = figure(&dump, "Block size");
    let reserved = figure(&dump, "Reserved block count") * block;
    let free = (figure(&dump, "Free blocks") * block).saturating_sub(reserved);
    let tables = figure(&dump, "Inode count") * figure(&dump, "Inode size");
    (free, reserved + tables)
}

/// Blocks of files and number of inodes of a directory, as nixpkgs counts them: every name is one,
/// and the size of a file is what it says it is.
fn count(path: &Path) -> (u64, u64) {
    let metadata = path.symlink_metadata().unwrap();
    if !metadata.is_dir() {
        return (metadata.size().div_ceil(4096), 1);
    }
    let mut total = (0, 1);
    for entry in fs::read_dir(path).unwrap() {
        let (blocks, inodes) = count(&entry.unwrap().path());
        total = (total.0 + blocks, total.1 + inodes);
    }
    total
}

/// The disk that nixpkgs makes for this closure, or rather less: what else is on the root file system
/// and in the build directory is left out.
fn nixpkgs_disk(attributes: &Attributes, additional: u64, reserved: u64) -> u64 {
    let mut blocks = 0;
    let mut inodes = 0;
    for path in attributes.closure() {
        let (more_blocks, more_inodes) = count(&path);
        blocks += more_blocks;
        inodes += more_inodes;
    }
    let usage = (blocks + 2 * inodes) * 4096;
    let file_system = usage + usage * 52 / 1000;
    // Its rounding always adds a unit.
    ((file_system + additional + reserved) / MIB + 1) * MIB
}

#[test]
fn users_get_the_additional_space_and_the_disk_is_no_larger_than_it_must_be() {
    let attributes = Attributes::of("copyChannel = false;");
    // The whole MiB after bootSize, and the GPT.
    let boot = 34 * 512 + 257 * MIB;
    let tables = [
        ("none", 0),
        ("legacy", MIB),
        ("legacy+boot", 257 * MIB),
        ("legacy+gpt", 34 * 512 + 2 * MIB),
        ("efi", boot),
        ("efixbootldr", boot),
        ("hybrid", boot),
    ];
    for (table, reserved) in tables {
        for (text, additional) in [("0M", 0), ("512M", 512 * MIB)] {
            if additional > 0 && !["none", "efi"].contains(&table) {
                continue;
            }
            let mut job = attributes.job();
            job.image("partitionTableType", table)
                .image("additionalSpace", text);
            let ended = job.run();
            let image = ended.image("nixos.img");
            let length = fs::metadata(&image).unwrap().len();
            let root = match oracles::check(&image, "raw", table) {
                None => image.clone(),
                Some(read) => {
                    let root = ended.build().join("root");
                    oracles::extract(
                        &image,
                        read.partitions.iter().max_by_key(|p| p.start).unwrap(),
                        &root,
                    );
                    root
                }
            };
            let (free, overhead) = figures(&root);
            let nixpkgs = nixpkgs_disk(&attributes, additional, reserved);
            let what = format!("{table} {text}: {length} bytes, nixpkgs {nixpkgs}, {free} free");
            println!("{what}");
            assert!((additional..additional + 4 * MIB).contains(&free), "{what}");
            // There, they come out of the additional space (docs/differences.md, "Size").
            let room = if additional == 0 { 0 } else { overhead };
            assert!(length <= nixpkgs + room, "{what}");
        }
    }
}

#[test]
fn efi_variables_are_copied_and_can_be_written_to() {
    let attributes = Attributes::of(
        r#"touchEFIVars = true; partitionTableType = "efi"; additionalSpace = "0M"; copyChannel = false;"#,
    );
    let ended = attributes.job().run();
    ended.image("nixos.img");
    let copy = ended.out.join("efi-vars.fd");
    let metadata = fs::metadata(&copy).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o644);
    let source = attributes.job().json["image"]["efiVariables"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(fs::read(copy).unwrap(), fs::read(source).unwrap());
}

#[test]
fn a_store_image_may_have_a_partition_table() {
    let attributes = Attributes::of(
        r#"onlyNixStore = true; config = { }; additionalPaths = [ fixture.pkgs.attr ]; format = "qcow2";"#,
    );
    for table in ["legacy", "legacy+gpt", "hybrid"] {
        let mut job = attributes.job();
        job.image("partitionTableType", table);
        let ended = job.run();
        let image = ended.image("nixos.qcow2");
        let read = oracles::check(&image, "qcow2", table).unwrap();
        let scratch = scratch();
        let raw = oracles::raw_copy(&image, "qcow2", scratch.path());
        let root = scratch.path().join("root");
        oracles::extract(
            &raw,
            read.partitions.iter().max_by_key(|p| p.start).unwrap(),
            &root,
        );
        let mut expected: Vec<_> = attributes.closure();
        expected.push("lost+found".into());
        let mut expected: Vec<_> = expected
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        expected.sort();
        assert_eq!(oracles::debugfs_names(&root, "/"), expected, "{table}");
        let dump = stdout(command("dumpe2fs").arg("-h").arg(&root));
        assert!(dump.contains("volume name:   nix-store\n"), "{dump}");
    }
}

#[test]
fn without_deterministic_times_are_real() {
    let attributes = Attributes::of(
        r#"partitionTableType = "none"; deterministic = false; additionalSpace = "0M";"#,
    );
    let before = std::time::SystemTime::now();
    let ended = attributes.job().run();
    let image = ended.image("nixos.img");
    oracles::check(&image, "raw", "none");
    let since = before
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let stat = stdout(
        command("debugfs")
            .args(["-R", "stat /etc/NIXOS"])
            .arg(&image),
    );
    // mtime: 0x65a0b0c0:00000000 -- ...
    let mtime = stat
        .lines()
        .find_map(|line| line.trim().strip_prefix("mtime: 0x"))
        .unwrap();
    let mtime = u64::from_str_radix(&mtime[..8], 16).unwrap();
    assert!((since..=now).contains(&mtime), "{stat}");
}
