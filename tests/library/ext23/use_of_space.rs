//! The smallest size is minimal and has the space that it should, and images grow.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use make_disk_image::fs::{Format, PlanError};
use make_disk_image::tree::{Content, InodeId, Kind, Source, Tree};

use super::images::*;
use crate::common::{command, scratch, stdout};
use crate::ext4_writer::kernel::compare;

/// A tree of `files` files with `blocks` blocks each.
fn files(files: usize, blocks: usize) -> Arc<Tree> {
    let bytes: Arc<[u8]> = vec![7; blocks * 4096].into();
    let mut tree = empty_tree();
    for number in 0..files {
        let content = Content {
            size: bytes.len() as u64,
            source: Source::Bytes(Arc::clone(&bytes)),
            data: None,
        };
        let name = format!("{number}");
        tree.insert(InodeId::ROOT, name.as_bytes(), inode(Kind::File(content)))
            .unwrap();
    }
    Arc::new(tree)
}

#[test]
fn no_smaller_size_fits() {
    for (kind, format) in TYPES {
        for (count_of_files, blocks, free) in [
            (0, 0, 0),
            (1, 1000, 0),
            (3000, 1, 0),
            (33_000, 0, MIB),
            (10, 3000, 0),
            (33, 990, 10 * MIB),
            (2, 16_000, 0),
            (2, 63_000, 0),
            (100, 1250, 3 * MIB),
        ] {
            let tree = files(count_of_files, blocks);
            let counted = count(format, &tree);
            let fits = |length: u64| {
                counted
                    .plan(length)
                    .is_ok_and(|plan| plan.usage().available >= free)
            };
            let length = counted.smallest(free).unwrap();
            assert!(
                fits(length),
                "{kind}, {count_of_files} files, {blocks} blocks"
            );
            // The free space is also for the block map of a file that takes it.
            let map = if free > 0 { 4 + free / 4096 / 500 } else { 0 };
            let below = length - (1 + map) * 4096;
            let least = (8 * MIB).max((count_of_files * blocks * 4096) as u64);
            for below in (least..=below).rev().step_by(4096).take(64) {
                assert!(
                    !fits(below),
                    "{kind}, {count_of_files} files of {blocks} blocks and {free} bytes: {below} < {length}"
                );
            }
        }
    }
}

#[test]
fn an_image_is_full_to_the_last_block() {
    for (kind, format) in TYPES {
        let directory = scratch();
        let tree = files(10, 3000);
        let counted = count(format, &tree);
        let length = counted.smallest(0).unwrap();
        let image = make(directory.path(), format, &tree, length);
        let header = stdout(command("dumpe2fs").arg("-h").arg(&image));
        assert!(header.contains("Free blocks:              0\n"), "{header}");
        let mount = mount(&image, kind, "ro");
        compare(mount.path(), &tree);
        mount.unmount();
        let Err(PlanError::TooSmall {
            needed,
            inodes,
            length: given,
        }) = counted.plan(length - 4096)
        else {
            panic!("one block too few is enough");
        };
        assert_eq!((needed, inodes, given), (length, 21, length - 4096));
    }
}

/// Fills a file system as an ordinary user, and returns the number of bytes.
fn fill(kind: &str, format: &dyn Format, tree: &Arc<Tree>, free: u64) -> u64 {
    let directory = scratch();
    let counted = count(format, tree);
    let length = counted.smallest(free).unwrap();
    let image = make(directory.path(), format, tree, length);
    let available = counted.plan(length).unwrap().usage().available;
    let mount = mount(&image, kind, "rw");
    assert_eq!(mount.available(), available, "{kind}");
    assert!(available >= free);
    let big = mount.path().join("big");
    File::create(&big).unwrap();
    std::os::unix::fs::chown(&big, Some(65_534), Some(65_534)).unwrap();
    std::fs::set_permissions(&big, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    // Through dd as an ordinary user: root may use reserved blocks.
    let mut dd = command("dd");
    dd.arg("if=/dev/zero")
        .arg(format!("of={}", big.display()))
        .args(["bs=64k", "conv=notrunc,fsync", "status=none"])
        .stderr(std::process::Stdio::null());
    std::os::unix::process::CommandExt::uid(&mut dd, 65_534);
    std::os::unix::process::CommandExt::gid(&mut dd, 65_534);
    let status = dd.status().unwrap();
    assert!(!status.success(), "the file system is never full");
    let written = std::fs::metadata(&big).unwrap().len();
    mount.unmount();
    e2fsck(&image);
    written
}

#[test]
fn an_ordinary_user_can_fill_the_free_space() {
    for (kind, format) in TYPES {
        for (tree, free) in [(files(3, 700), 20 * MIB), (files(100, 100), 150 * MIB)] {
            let written = fill(kind, format, &tree, free);
            assert!(written >= free, "{kind}: {written} of {free}");
            assert!(written < free + MIB, "{kind}: {written} of {free}");
        }
    }
}

#[test]
fn images_grow_and_shrink() {
    for (kind, format) in TYPES {
        let directory = scratch();
        let tree = files(200, 30);
        let length = count(format, &tree).smallest(0).unwrap();
        let image = make(directory.path(), format, &tree, length);
        for size in ["200M", "1G", "20G", "-M", "300M"] {
            stdout(command("resize2fs").arg(&image).arg(size));
            e2fsck(&image);
        }
        let mount = mount(&image, kind, "rw");
        compare(mount.path(), &tree);
        let mut new = File::create(mount.path().join("new")).unwrap();
        new.write_all(&[1; 100_000]).unwrap();
        drop(new);
        mount.unmount();
        e2fsck(&image);
    }
}
