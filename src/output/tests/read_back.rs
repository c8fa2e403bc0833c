//! What the writers write, the readers of [`crate::container`] read.

use std::path::Path;

use super::disk::{Raw, identity, samples};
use crate::codec::Codec;
use crate::container::Disk;
use crate::image::Image;
use crate::output::{qcow2, vdi, vhd, vhdx, vmdk};

const DEFLATE: Codec = Codec::Deflate {
    level: 1,
    window_bits: 12,
};
const ZLIB: Codec = Codec::Zlib { level: 1 };
const ZSTD: Codec = Codec::Zstd {
    level: 1,
    checksum: false,
};

/// Writes an image to a file.
type Write = fn(&Image, &Path) -> anyhow::Result<()>;

const FORMATS: [(&str, Write); 9] = [
    ("qcow2", |image, path| {
        qcow2::write(image, None, path, &|_| {})
    }),
    ("qcow2", |image, path| {
        qcow2::write(image, Some(DEFLATE), path, &|_| {})
    }),
    ("qcow2", |image, path| {
        qcow2::write(image, Some(ZSTD), path, &|_| {})
    }),
    ("vdi", |image, path| {
        vdi::write(image, &identity(), path, &|_| {})
    }),
    ("vpc", |image, path| {
        vhd::write_dynamic(image, &identity(), path, &|_| {})
    }),
    ("vpc", |image, path| {
        vhd::write_fixed(image, &identity(), path, &|_| {})
    }),
    ("vmdk", |image, path| {
        vmdk::write_sparse(image, &identity(), "x", path, &|_| {})
    }),
    ("vmdk", |image, path| {
        vmdk::write_stream(image, &identity(), ZLIB, "x", path, &|_| {})
    }),
    ("vhdx", |image, path| {
        vhdx::write(image, &identity(), path, &|_| {})
    }),
];

/// The bytes of a disk. They are read in pieces of an unusual length, which cross blocks.
fn bytes(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![1; usize::try_from(disk.length).unwrap()];
    let mut at = 0;
    for piece in bytes.chunks_mut(99_991) {
        disk.read(at, piece, "it").unwrap();
        at += piece.len() as u64;
    }
    bytes
}

#[test]
fn every_format_is_read_back() {
    for (name, image) in samples() {
        let raw = Raw::new(&image);
        let expected = std::fs::read(raw.path()).unwrap();
        for (number, (format, write)) in FORMATS.iter().enumerate() {
            let file = raw.file(&number.to_string());
            // Some formats have no empty disk.
            if write(&image, &file).is_err() {
                assert!(image.length == 0 || *format == "vpc", "{name}: {format}");
                continue;
            }
            let disk =
                Disk::open(&file).unwrap_or_else(|error| panic!("{name}: {format}: {error:#}"));
            assert_eq!(disk.facts.text("format"), *format, "{name}");
            let found = bytes(&disk);
            // A fixed VHD has whole MiB.
            let (start, end) = found.split_at(expected.len().min(found.len()));
            assert!(
                start == expected && crate::holes::is_zeros(end),
                "{name}: {format} {number}"
            );
            let mut at = 0;
            while at < disk.length {
                let data = disk.next_data(at..disk.length).unwrap();
                let hole = usize::try_from(at).unwrap()..usize::try_from(data).unwrap();
                assert!(
                    crate::holes::is_zeros(&found[hole]),
                    "{name}: {format} {number}: {at}"
                );
                at = data + 65_536;
            }
        }
    }
}
