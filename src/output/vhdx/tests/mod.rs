//! Files compared with those of `qemu-img`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::output::tests::disk::{
    Raw, cases, get, identity, image, is_same, noise, put, qemu_img, ranges, samples, sparse, text,
    write_longer,
};
use crate::output::tests::dump::dump;

fn write(image: &Image, path: &Path) {
    super::write(image, &identity(), path, &|_| ()).unwrap();
}

/// Disks of every kind. The file that `qemu-img` makes of an empty one has a BAT of 64 MiB, as its
/// number of blocks is less than 0.
fn disks() -> impl Iterator<Item = (&'static str, Image)> {
    samples().into_iter().filter(|(_, image)| image.length > 0)
}

/// Replaces what is different in `theirs`, a file of `qemu-img`, by that of `ours`.
fn fix(theirs: &Path, ours: &Path) {
    let copy = |at: u64, length: u64| put(theirs, at, &get(ours, at, length));
    // The creator.
    copy(8, 512);
    // The checksum, the sequence number, and two random GUIDs. `qemu-img check` verifies checksums.
    for header in [64 << 10, 128 << 10] {
        copy(header + 4, 4 + 8 + 16 + 16);
    }
    // The checksum, and that programs need to know the regions, which they do (section 2.2.3.2).
    for table in [192 << 10, 256 << 10] {
        copy(table + 4, 4);
        copy(table + 16 + 28, 4);
        copy(table + 16 + 32 + 28, 4);
    }
    // Entries of the log that are no longer valid.
    copy(1 << 20, 1 << 20);
    // The random virtual disk ID.
    let metadata = get(ours, (192 << 10) + 16 + 32 + 16, 8);
    let metadata = u64::from_le_bytes(metadata.try_into().unwrap());
    copy(metadata + (64 << 10) + 16, 16);
}

/// Checks that the file is that of `qemu-img`, apart from what [`fix`] replaces.
fn assert_same(name: &str, image: &Image) -> Raw {
    let raw = Raw::new(image);
    let path = raw.file("vhdx");
    write(image, &path);
    let theirs = raw.convert("vhdx", &[]);
    fix(&theirs, &path);
    assert!(is_same(&path, &theirs), "{name}");
    raw
}

fn assert_clean(path: &Path) {
    let said = qemu_img(&["check", "-f", "vhdx", text(path)]);
    assert!(said.contains("No errors were found"), "{said}");
}

/// Checks what `qemu-img` says about the file.
fn assert_info(path: &Path, length: u64, block: u64) {
    let info = qemu_img(&["info", "--output=json", text(path)]);
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["format"], "vhdx");
    assert_eq!(info["virtual-size"], length);
    assert_eq!(info["cluster-size"], block);
}

#[test]
fn files_are_those_of_qemu_img() {
    for (name, image) in disks() {
        let raw = assert_same(name, &image);
        let path = raw.file("vhdx");
        raw.compare("vhdx", &path);
        assert_clean(&path);
    }
}

/// A disk with its first byte, and a byte after a hole.
fn small() -> Image {
    image(70 << 20, vec![(0, vec![b'x']), (34 << 20, vec![b'y'])])
}

#[test]
fn the_structures_are_readable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vhdx");
    write(&small(), &path);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(dump(&bytes), include_str!("small.txt"));
}

#[test]
fn payload_blocks_are_as_long_as_those_of_qemu_img() {
    let directory = tempfile::tempdir().unwrap();
    let gib = 1 << 30;
    let tib = 1024 * gib;
    let cases = [
        (gib, 8),
        (gib + 512, 16),
        (4 * gib, 16),
        // Sector bitmap blocks have entries in the BAT from here on.
        (4 * gib + 512, 16),
        (100 * gib, 16),
        (100 * gib + 512, 32),
        (3 * tib, 32),
        (32 * tib, 32),
        (32 * tib + 512, 64),
        (64 * tib, 64),
    ];
    for (length, mebibytes) in cases {
        let [ours, theirs] = ["ours", "theirs"].map(|name| directory.path().join(name));
        write(&image(length, vec![]), &ours);
        assert_info(&ours, length, mebibytes << 20);
        qemu_img(&["create", "-f", "vhdx", text(&theirs), &length.to_string()]);
        fix(&theirs, &ours);
        assert!(is_same(&ours, &theirs), "{length}");
    }
}

#[test]
fn holes_in_blocks_are_holes_in_the_file() {
    let data = |at: u64| (at << 20, noise(4096, at));
    let image = image(64 << 20, (0..64).map(data).collect());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vhdx");
    write(&image, &path);
    let found = fs::metadata(&path).unwrap();
    assert_eq!(found.len(), (8 << 20) + (64 << 20));
    // A unit of each MiB, and the structures.
    let most = 65 * (64 << 10) + (1 << 20) + (256 << 10);
    assert!(found.blocks() * 512 <= most, "{}", found.blocks());
}

#[test]
fn a_long_disk_takes_little_space() {
    let length = 3 << 40;
    let data = [0, 1 << 40, length - 4096].map(|at| (at, noise(4096, at)));
    let raw = assert_same("3 TiB", &image(length, data.into()));
    let path = raw.file("vhdx");
    let found = fs::metadata(&path).unwrap();
    assert!(found.blocks() * 512 < 2 << 20, "{}", found.blocks());
    // qemu-img compare would read all zeros.
    assert_clean(&path);
}

#[test]
fn a_shorter_disk_replaces_a_longer_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vhdx");
    write_longer(&path);
    write(&image(4 << 20, vec![]), &path);
    assert_eq!(fs::metadata(&path).unwrap().len(), 8 << 20);
    assert_clean(&path);
}

/// The message for a disk of `length` bytes, of which nothing is written.
fn refused(length: u64) -> String {
    let path = Path::new("/nonexistent/nixos.vhdx");
    let error = super::write(&image(length, vec![]), &identity(), path, &|_| ());
    format!("{:#}", error.unwrap_err())
}

#[test]
fn disks_that_do_not_fit_are_refused() {
    assert_eq!(
        refused((64 << 40) + 512),
        "writing /nonexistent/nixos.vhdx: the disk has 70368744178176 bytes (67108865 MiB), but a \
         VHDX has at most 70368744177664 (67108864 MiB); set diskSize to at most 67108864, or use \
         another format, such as \"qcow2\""
    );
    assert_eq!(
        refused(1000),
        "writing /nonexistent/nixos.vhdx: the disk has 1000 bytes, which is not a multiple of 512, \
         the length of a sector"
    );
    assert!(refused(64 << 40).contains("creating /nonexistent"));
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn any_sparse_disk_is_that_of_qemu_img(
        // Sector bitmap blocks have entries in the BAT from 4 GiB on.
        sectors in prop_oneof![1..200_000_u64, 1..600_000_u64, 1..20_000_000_u64],
        ranges in ranges(),
    ) {
        let raw = assert_same("random", &sparse(sectors * 512, &ranges));
        // Checksums.
        assert_clean(&raw.file("vhdx"));
    }
}
