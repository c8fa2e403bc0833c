//! Compressed data, read by the kernel and by GRUB.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use make_disk_image::fs::{Btrfs, BtrfsCompression, Format};
use make_disk_image::tree::{Content, DataRange, InodeId, Kind, Source, Tree};

use super::images::*;
use super::kernel::mount_and_compare;
use crate::common::{next, run, scratch, stdout};

const ALL: [Option<BtrfsCompression>; 5] = [
    None,
    Some(BtrfsCompression::Zlib { level: 1 }),
    Some(BtrfsCompression::Zlib { level: 9 }),
    Some(BtrfsCompression::Zstd { level: 1 }),
    Some(BtrfsCompression::Zstd { level: 15 }),
];

fn compressing(compression: Option<BtrfsCompression>, directory: PathBuf) -> Btrfs {
    Btrfs {
        compression,
        directory,
        ..writer()
    }
}

/// Files of all lengths around every limit, of text, of noise, and of both.
fn tree() -> Tree {
    let mut tree = empty_tree();
    let unit = 131_072;
    for length in [
        1,
        10,
        100,
        2047,
        2048,
        2049,
        3000,
        4095,
        4096,
        4097,
        8191,
        8192,
        8193,
        50_000,
        unit - 1,
        unit,
        unit + 1,
        unit + 4096,
        unit + 4097,
        3 * unit + 5,
        2_000_000,
    ] {
        let text: Vec<u8> = b"extent, inode, block group, "
            .iter()
            .copied()
            .cycle()
            .take(length)
            .collect();
        let noise = noise(length);
        let mut mixed = noise.clone();
        for (at, chunk) in mixed.chunks_mut(100_000).enumerate() {
            if at % 2 == 0 {
                chunk.fill(b'm');
            }
        }
        // Saves less than a sector.
        let mut hardly = noise.clone();
        let end = length.min(3500);
        hardly[..end].fill(0);
        for (name, bytes) in [
            ("text", text),
            ("noise", noise),
            ("mixed", mixed),
            ("hardly", hardly),
            ("zeros", vec![0; length]),
        ] {
            let name = format!("{name}-{length}");
            tree.insert(InodeId::ROOT, name.as_bytes(), file(&bytes))
                .unwrap();
        }
    }
    let mut bytes = vec![0; 1_000_000];
    bytes[5000..300_000].fill(b'x');
    bytes[700_000..700_100].fill(b'y');
    let data = [(5000, 295_000), (700_000, 100)];
    let ranges = data.map(|(offset, length)| DataRange { offset, length });
    let sparse = Content {
        size: bytes.len() as u64,
        source: Source::Bytes(bytes.into()),
        data: Some(Box::new(ranges.into())),
    };
    tree.insert(InodeId::ROOT, b"sparse", inode(Kind::File(sparse)))
        .unwrap();
    tree
}

#[test]
fn files_of_all_lengths_arrive() {
    let tree = Arc::new(tree());
    let mut lengths = Vec::new();
    for compression in ALL {
        let directory = scratch();
        let writer = compressing(compression, directory.path().to_owned());
        let image = make_smallest(&writer, directory.path(), &tree, 30 * MIB);
        mount_and_compare(&image, &tree);
        lengths.push(fs::metadata(&image).unwrap().len());
        // The kernel decompresses and compresses again.
        let mount = mount(&image, "rw");
        btrfs(&["filesystem", "defragment", "-r", "-czstd"], mount.path());
        mount.unmount();
        check(&image);
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "only the image is left");
    }
    assert!(
        lengths[1..]
            .iter()
            .all(|length| *length < lengths[0] - 5 * MIB)
    );
}

#[test]
fn grub_reads_every_file() {
    let tree = Arc::new(tree());
    for compression in ALL {
        let directory = scratch();
        let writer = compressing(compression, directory.path().to_owned());
        let image = make_smallest(&writer, directory.path(), &tree, 0);
        let mut listed = next::program("usr/bin/grub-fstest");
        let listed = stdout(listed.arg(&image).args(["ls", "/"]));
        let mut names: Vec<&str> = listed.split_whitespace().collect();
        names.sort_unstable();
        let directory = tree.directory(InodeId::ROOT).unwrap();
        let expected: Vec<_> = directory
            .iter()
            .map(|(name, _)| str::from_utf8(name).unwrap())
            .collect();
        assert_eq!(names, expected);
        for (name, id) in directory.iter() {
            let name = str::from_utf8(name).unwrap();
            // Starting GRUB's reader takes time. It does not support holes in file systems with the
            // feature `no-holes`.
            if !["-2048", "-4095", "-2000000", "-131073"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                continue;
            }
            let mut cat = next::program("usr/bin/grub-fstest");
            let read = run(cat.arg(&image).arg("cat").arg(format!("/{name}"))).stdout;
            let Kind::File(Content {
                source: Source::Bytes(bytes),
                ..
            }) = &tree.inode(id).kind
            else {
                panic!("{name} is no file");
            };
            assert!(read == bytes[..], "{name} with {compression:?}");
        }
    }
}

#[test]
fn a_missing_work_directory_is_an_error() {
    let writer = compressing(ALL[4], PathBuf::from("/does/not/exist"));
    let Err(error) = writer.count(&Arc::new(tree()), &options()) else {
        panic!("compressed into nothing");
    };
    let expected = "creating /does/not/exist/btrfs-compressed";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn without_checksums_no_file_is_read() {
    let directory = scratch();
    let mut tree = empty_tree();
    let gone = Content {
        size: 1_000_000,
        source: Source::File(make_disk_image::tree::SourceFile::new(
            std::path::Path::new("/does/not/exist").into(),
            "file".as_ref(),
        )),
        data: None,
    };
    let id = tree
        .insert(InodeId::ROOT, b"gone", inode(Kind::File(gone)))
        .unwrap();
    let tree = Arc::new(tree);
    let error = writer().count(&tree, &options()).err().unwrap();
    assert!(error.to_string().contains("/does/not/exist"), "{error}");
    let writer = Btrfs {
        checksums: false,
        ..compressing(ALL[4], PathBuf::from("/does/not/exist"))
    };
    let counted = writer.count(&tree, &options()).unwrap();
    let plan = counted.plan(counted.smallest(0).unwrap()).unwrap();
    check_plan(plan.as_ref());
    let known = [(id, 999_000, &b"known"[..])];
    let image = write_sparsely(directory.path(), &tree, plan.as_ref(), &known);
    check(&image);
    let mount = mount(&image, "rw");
    let read = fs::read(mount.path().join("gone")).unwrap();
    assert_eq!(
        (read.len(), &read[999_000..999_005]),
        (1_000_000, &b"known"[..])
    );
    fs::write(mount.path().join("new"), noise(100_000)).unwrap();
    mount.unmount();
    check(&image);
}
