//! Files compared with those of `qemu-img`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::output::tests::disk::{
    Raw, cases, identity, image, is_same, noise, put, qemu_img, ranges, samples, sparse, text,
    write_longer,
};
use crate::output::tests::dump::dump;

/// Checks that the file is that of `qemu-img`, apart from the UUIDs.
fn assert_same(name: &str, image: &Image) -> Raw {
    let raw = Raw::new(image);
    let path = raw.file("vdi");
    write(image, &identity(), &path, &|_| ()).unwrap();
    let expected = raw.convert("vdi", &[]);
    for (offset, purpose) in [(0x188, "VDI image"), (0x198, "VDI snapshot")] {
        let uuid = Uuid::new_v5(&identity().root_file_system, purpose.as_bytes());
        put(&expected, offset, uuid.as_bytes());
    }
    assert!(is_same(&path, &expected), "{name}");
    raw
}

fn assert_clean(path: &Path) {
    let said = qemu_img(&["check", "-f", "vdi", text(path)]);
    assert!(said.contains("No errors were found"), "{said}");
}

#[test]
fn files_are_those_of_qemu_img() {
    for (name, image) in samples() {
        let raw = assert_same(name, &image);
        let path = raw.file("vdi");
        raw.compare("vdi", &path);
        assert_clean(&path);
    }
}

#[test]
fn the_header_is_readable() {
    let image = image(5 << 20, vec![(3 << 20, vec![b'x'; 1])]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vdi");
    write(&image, &identity(), &path, &|_| ()).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(dump(&bytes[..1024]), include_str!("tests/header.txt"));
    assert_eq!(bytes[1024], b'x');
    assert_eq!(bytes.len(), 1024 + (1 << 20));
}

#[test]
fn holes_in_blocks_are_holes_in_the_file() {
    let data = |at: u64| (at << 20, noise(4096, at));
    let image = image(64 << 20, (0..64).map(data).collect());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vdi");
    write(&image, &identity(), &path, &|_| ()).unwrap();
    let found = fs::metadata(&path).unwrap();
    assert!(found.len() > 64 << 20);
    // Of each MiB one piece, in twice as much because its pages are not those of the file.
    assert!(
        found.blocks() * 512 < 64 * (128 << 10),
        "{}",
        found.blocks()
    );
}

#[test]
fn a_shorter_disk_replaces_a_longer_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vdi");
    write_longer(&path);
    write(&image(4 << 20, vec![]), &identity(), &path, &|_| ()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 1024);
    assert_clean(&path);
}

/// The message for a disk of `length` bytes, of which nothing is written.
fn refused(length: u64) -> String {
    let path = Path::new("/nonexistent/nixos.vdi");
    let error = write(&image(length, vec![]), &identity(), path, &|_| ());
    format!("{:#}", error.unwrap_err())
}

#[test]
fn disks_that_are_too_long_are_refused() {
    let longest = 562_949_819_203_584;
    let expected = "writing /nonexistent/nixos.vdi: the disk has 562949819204096 bytes \
                    (536870785 MiB), but QEMU reads a VDI of at most 562949819203584 \
                    (536870784 MiB); set diskSize to at most 536870784, or use another format, \
                    such as \"qcow2\"";
    assert_eq!(refused(longest + 512), expected);
    // The same limit as that of qemu-img.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vdi");
    let mut command = std::process::Command::new("qemu-img");
    let command = command.args(["create", "-f", "vdi", text(&path), "562949819204096"]);
    let said = command.output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("max supported is 0x1fffff8000000"), "{said}");
    assert_eq!(longest, 0x1_ffff_f800_0000);
}

#[test]
fn disks_that_are_not_whole_sectors_are_refused() {
    let message = "writing /nonexistent/nixos.vdi: the disk has 1049087 bytes, which is not a \
                   multiple of 512, the length of a sector";
    assert_eq!(refused((1 << 20) + 511), message);
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn any_sparse_disk_is_that_of_qemu_img(
        sectors in prop_oneof![1..200_000_u64, 1..2_000_000_u64, 1..1_u64 << 30],
        ranges in ranges(),
    ) {
        assert_same("random", &sparse(sectors * 512, &ranges));
    }
}
