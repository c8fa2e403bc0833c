//! The smallest size is minimal, and a tree that just does not fit is reported with figures.

use std::sync::Arc;

use make_disk_image::fs::PlanError;
use make_disk_image::tree::{Content, InodeId, Kind, Source, Tree};

use super::images::*;
use super::kernel::mount_and_compare;
use crate::common::{command, scratch, stdout};

/// A tree of `files` files with `blocks` blocks each.
fn files(files: usize, blocks: usize) -> Tree {
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
    tree
}

fn fits(tree: &Arc<Tree>, length: u64, free: u64) -> bool {
    plan(tree, length).is_ok_and(|plan| plan.usage().available >= free)
}

#[test]
fn no_smaller_size_fits() {
    for (count, blocks, free) in [
        (0, 0, 0),
        (1, 1000, 0),
        (3000, 1, 0),
        (5000, 0, 0),
        (33_000, 0, MIB),
        (10, 3000, 0),
        (33, 950, 0),
        (33, 990, 10 * MIB),
        (2, 16_000, 0),
        (100, 1250, 3 * MIB),
    ] {
        let tree = Arc::new(files(count, blocks));
        let length = smallest(&tree, free);
        assert!(fits(&tree, length, free), "{count} files, {blocks} blocks");
        let mut below = (8 * MIB).max((count * blocks * 4096) as u64);
        while below < length {
            assert!(
                !fits(&tree, below, free),
                "{count} files of {blocks} blocks and {free} bytes: {below} < {length}"
            );
            // Every size in the last 256 KiB, and some others.
            below += 4096 * if length - below <= MIB / 4 { 1 } else { 37 };
        }
    }
}

#[test]
fn the_smallest_size_is_found_across_boundaries_of_everything() {
    // Around 128 MiB, 512 MiB, 1 GiB, 2 GiB and 16 GiB: partial last groups, journal sizes, inode
    // ratios.
    let mut scanned = 0;
    for target in [32_768u64, 131_072, 262_144, 524_288, 4_194_304] {
        for percent in [90, 93, 95, 97, 99] {
            let blocks = target * percent / 100;
            let content = Content {
                size: blocks * 4096,
                source: Source::Bytes(Arc::from(&b""[..])),
                data: None,
            };
            let mut tree = empty_tree();
            tree.insert(InodeId::ROOT, b"f", inode(Kind::File(content)))
                .unwrap();
            let tree = Arc::new(tree);
            for free in [0, MIB] {
                let length = smallest(&tree, free);
                assert!(fits(&tree, length, free));
                // All of the last few thousand, then every 97th.
                let mut below = length - 4096;
                while below > blocks * 4096 {
                    assert!(
                        !fits(&tree, below, free),
                        "{blocks} blocks: {below} < {length}"
                    );
                    scanned += 1;
                    below -= 4096 * if length - below < 4 * MIB { 1 } else { 397 };
                }
            }
        }
    }
    assert!(scanned > 40_000);
}

#[test]
fn an_image_is_full_to_the_last_block() {
    let directory = scratch();
    let tree = Arc::new(files(10, 3000));
    let length = smallest(&tree, 0);
    let image = make(directory.path(), &tree, length);
    mount_and_compare(&image, &tree);
    let header = stdout(command("dumpe2fs").arg("-h").arg(&image));
    assert!(header.contains("Free blocks:              0\n"), "{header}");

    let Err(error) = plan(&tree, length - 4096) else {
        panic!("one block too few is enough");
    };
    let PlanError::TooSmall {
        needed,
        inodes,
        length: given,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((needed, inodes, given), (length, 21, length - 4096));
    let message =
        format!("{length} bytes and 21 inodes are needed, but only {given} bytes are available");
    assert_eq!(error.to_string(), message);
}

#[test]
fn an_image_is_full_to_the_last_inode() {
    let directory = scratch();
    // As many inodes as one group can have.
    let tree = Arc::new(files(32_768 - 11, 0));
    let length = smallest(&tree, 0);
    let image = make(directory.path(), &tree, length);
    mount_and_compare(&image, &tree);
    let header = stdout(command("dumpe2fs").arg("-h").arg(&image));
    assert!(header.contains("Free inodes:              0\n"), "{header}");

    // One more file needs a larger file system, since the blocks are used up, too.
    let mut more = Tree::clone(&tree);
    more.insert(InodeId::ROOT, b"one more", file(b"")).unwrap();
    let Err(PlanError::TooSmall { needed, inodes, .. }) = plan(&Arc::new(more), length) else {
        panic!("one inode too few is enough");
    };
    assert!(needed > length);
    assert_eq!(inodes, 11 + tree.inodes().len() as u64);
}
