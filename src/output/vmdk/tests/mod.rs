//! Files compared with those of `qemu-img`, and read as a stream.

mod limits;
mod stream;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::image::Image;
use crate::output::tests::disk::{
    Raw, cases, get, identity, image, is_same, noise, put, qemu_img, ranges, samples, sparse, text,
    write_longer,
};
use crate::output::tests::dump::dump;

/// The name that `qemu-img` gives to the disk that it converts.
const NAME: &str = "from qemu-img";

/// The content ID of [`identity`].
const CONTENT_ID: &str = "0ed6b569";

/// Disks of every kind. `qemu-img` reads no VMDK of an empty one.
fn disks() -> impl Iterator<Item = (&'static str, Image)> {
    samples().into_iter().filter(|(_, image)| image.length > 0)
}

fn write(image: &Image, path: &Path) {
    write_sparse(image, &identity(), NAME, path, &|_| ()).unwrap();
}

/// Checks that the file is that of `qemu-img`, apart from the content ID.
fn assert_same(name: &str, image: &Image) -> Raw {
    let raw = Raw::new(image);
    let path = raw.file("vmdk");
    write(image, &path);
    let expected = raw.convert("vmdk", &[]);
    let descriptor = String::from_utf8(get(&expected, 512, 512 * 20)).unwrap();
    // qemu-img replaces its first content ID, and what follows. If the new one is shorter, there is a
    // rest of the old text.
    let (descriptor, _) = descriptor.split_once('\0').unwrap();
    let (before, after) = descriptor.split_once("CID=").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let descriptor = format!("{before}CID={CONTENT_ID}\n{after}");
    put(&expected, 512, &[0; 512 * 20]);
    put(&expected, 512, descriptor.as_bytes());
    assert!(is_same(&path, &expected), "{name}");
    raw
}

fn assert_clean(path: &Path) {
    let said = qemu_img(&["check", "-f", "vmdk", text(path)]);
    assert!(said.contains("No errors were found"), "{said}");
}

/// Checks what `qemu-img` says about the file.
fn assert_info(path: &Path, create_type: &str, length: u64) {
    let info = qemu_img(&["info", "--output=json", text(path)]);
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["format"], "vmdk");
    assert_eq!(info["virtual-size"], length);
    assert_eq!(info["cluster-size"], 65_536);
    let data = &info["format-specific"]["data"];
    assert_eq!(data["create-type"], create_type);
    assert_eq!(data["parent-cid"], u32::MAX);
    assert_eq!(data["cid"], u32::from_str_radix(CONTENT_ID, 16).unwrap());
}

#[test]
fn files_are_those_of_qemu_img() {
    for (name, image) in disks() {
        let raw = assert_same(name, &image);
        let path = raw.file("vmdk");
        raw.compare("vmdk", &path);
        assert_clean(&path);
        assert_info(&path, "monolithicSparse", image.length);
    }
}

/// A disk with a grain in the first and in the third grain table.
fn small() -> Image {
    image(70 << 20, vec![(65_536, vec![b'x']), (64 << 20, vec![b'y'])])
}

#[test]
fn the_tables_are_readable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vmdk");
    write(&small(), &path);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(dump(&bytes), include_str!("sparse.txt"));
}

#[test]
fn a_shorter_disk_replaces_a_longer_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vmdk");
    write_longer(&path);
    write(&image(4 << 20, vec![]), &path);
    assert_eq!(fs::metadata(&path).unwrap().len(), 65_536);
    assert_clean(&path);
}

#[test]
fn a_long_disk_takes_little_space() {
    let length = 3 << 40;
    let data = [0, 1 << 40, length - 4096].map(|at| (at, noise(4096, at)));
    let raw = assert_same("3 TiB", &image(length, data.into()));
    let path = raw.file("vmdk");
    let found = fs::metadata(&path).unwrap();
    assert!(found.blocks() * 512 < 2 << 20, "{}", found.blocks());
    assert_info(&path, "monolithicSparse", length);
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn any_sparse_disk_is_that_of_qemu_img(
        sectors in prop_oneof![1..200_000_u64, 1..2_000_000_u64],
        ranges in ranges(),
    ) {
        assert_same("random", &sparse(sectors * 512, &ranges));
    }
}
