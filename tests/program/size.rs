//! The size of automatic disks: the space users can fill, and a comparison with nixpkgs' formula.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use crate::common::mount::Mount;
use crate::common::program::Attributes;
use crate::common::{command, oracles, scratch, stdout};

const MIB: u64 = 1 << 20;

/// The margin for a first boot, in bytes.
const FIRST_BOOT: u64 = 24 * MIB;

/// A number from `dumpe2fs -h`.
fn figure(dump: &str, name: &str) -> u64 {
    let line = dump
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {dump}"))
        .trim()
        .parse()
        .unwrap()
}

/// The bytes of a file system that nixpkgs' formula does not count: blocks reserved for root and
/// for Linux itself, and the inode tables.
fn overhead(file_system: &Path) -> u64 {
    let dump = stdout(command("dumpe2fs").arg("-h").arg(file_system));
    let block = figure(&dump, "Block size");
    let blocks = figure(&dump, "Block count");
    let withheld = figure(&dump, "Reserved block count") + (blocks / 50).min(4096);
    let tables = figure(&dump, "Inode count") * figure(&dump, "Inode size");
    withheld * block + tables
}

/// Blocks of files and number of inodes of a directory, as nixpkgs counts them: each name counts,
/// and each file counts with its apparent size.
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

/// The length of the disk that nixpkgs makes for this closure. nixpkgs counts the whole build
/// directory.
fn nixpkgs_disk(attributes: &Attributes, additional: u64, reserved: u64) -> u64 {
    // Besides the closure, as Nix 2.8.0 leaves it: two databases, in the root and in Nix's state
    // directory, each with 8 MiB of `reserved`; profiles and links.
    let (mut blocks, mut inodes) = (4142, 43);
    for path in attributes.closure() {
        let (more_blocks, more_inodes) = count(&path);
        blocks += more_blocks;
        inodes += more_inodes;
    }
    // Its rounding always adds a unit.
    let up = |number: u64, unit: u64| (number / unit + 1) * unit;
    let usage = (blocks + 2 * inodes) * 4096;
    let file_system = up(usage + usage * 52 / 1000, 4096);
    up(file_system + additional + reserved, MIB)
}

/// A copy of the root file system of a raw disk, in `directory`.
fn root(image: &Path, table: &str, directory: &Path) -> PathBuf {
    let copy = directory.join("root");
    match oracles::check(image, "raw", table) {
        None => stdout(command("cp").arg(image).arg(&copy)),
        Some(read) => {
            let last = read.partitions.iter().max_by_key(|p| p.start).unwrap();
            oracles::extract(image, last, &copy);
            String::new()
        }
    };
    copy
}

/// Imitates a first boot: root writes as much as a first boot writes at most, and an ordinary user
/// fills `additional` bytes. Returns the bytes that were free for users before.
fn first_boot(root: &Path, additional: u64) -> u64 {
    let mounted = Mount::new(root, "rw");
    let free = mounted.available();
    let write = |user: u32, length: u64, path: &Path| {
        stdout(
            command("setpriv")
                .arg(format!("--reuid={user}"))
                .args(["--clear-groups", "fallocate", "-l"])
                .arg(length.to_string())
                .arg(path),
        );
    };
    let home = mounted.path().join("home");
    fs::create_dir_all(&home).unwrap();
    chown(&home, Some(1000), None).unwrap();
    fs::write(mounted.path().join("etc/machine-id"), "id\n").unwrap();
    write(0, FIRST_BOOT - MIB, &mounted.path().join("journal"));
    assert!(mounted.available() >= additional);
    if additional > 0 {
        write(1000, additional, &home.join("fill"));
    }
    mounted.unmount();
    free
}

#[test]
fn automatic_disks_keep_the_additional_space_free_and_are_no_larger_than_needed() {
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
            job.table(table).image("additionalSpace", text);
            let ended = job.run();
            let image = ended.image("nixos.img");
            let length = fs::metadata(&image).unwrap().len();
            let scratch = scratch();
            let root = root(&image, table, scratch.path());
            let room = overhead(&root);
            let free = first_boot(&root, additional);
            let nixpkgs = nixpkgs_disk(&attributes, additional, reserved);
            let what = format!("{table} {text}: {length} bytes, nixpkgs {nixpkgs}, {free} free");
            println!("{what}");
            let least = additional + FIRST_BOOT;
            assert!((least..least + 4 * MIB).contains(&free), "{what}");
            // In nixpkgs they reduce the additional space (docs/differences.md, "Size").
            assert!(length <= nixpkgs + room + FIRST_BOOT, "{what}");
        }
    }
}

/// Root could not write to an image of the size that an error had advised.
#[test]
fn the_advised_size_fits_a_first_boot_and_a_smaller_one_causes_a_warning() {
    let attributes = Attributes::of(r#"copyChannel = false; partitionTableType = "none";"#);
    let build = |mebibytes: u64| {
        let mut job = attributes.job();
        job.image("diskSize", mebibytes);
        job.run()
    };
    let advised = |said: &str| -> u64 {
        let words = said.split("set diskSize to at least ").nth(1);
        let number = words.and_then(|words| words.split(' ').next());
        number.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    };
    let size = advised(&build(100).error());
    let ended = build(size);
    let image = ended.image("nixos.img");
    assert!(!ended.said().contains("warning: "), "{}", ended.said());
    let scratch = scratch();
    let free = first_boot(&root(&image, "none", scratch.path()), 0);
    assert!(free >= FIRST_BOOT);

    let ended = build(size - 8);
    let image = ended.image("nixos.img");
    oracles::check(&image, "raw", "none");
    let said = ended.said();
    let mounted = Mount::new(&image, "ro");
    let users = mounted.available();
    let dump = stdout(command("dumpe2fs").arg("-h").arg(&image));
    let to_root = users + figure(&dump, "Reserved block count") * 4096;
    let warning = format!(
        "warning: diskSize is {} MiB, which leaves {users} bytes of the root file system free \
         for users and {to_root} for root, but the first boot may write {FIRST_BOOT} bytes, as root \
         and as other users; set diskSize to at least {size} or to \"auto\"\n",
        size - 8
    );
    assert!(said.contains(&warning), "{said}");
    let line = format!(", {users} of them free for users and {to_root} for root; ");
    assert!(said.contains(&line), "{said}");
}

#[test]
fn efi_variables_are_copied_and_writable() {
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
        job.table(table);
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
