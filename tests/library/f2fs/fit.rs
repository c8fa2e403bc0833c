//! The smallest size is minimal, what is said to be available can be filled, and a tree that just
//! does not fit is reported with figures.

use std::sync::Arc;

use make_disk_image::fs::PlanError;
use make_disk_image::tree::{InodeId, Tree};

use super::checks::check;
use super::guest;
use super::images::*;
use crate::common::scratch;

/// A tree of `files` files with `blocks` blocks each.
fn files(files: usize, blocks: u64) -> Tree {
    let mut tree = empty_tree();
    for number in 0..files {
        add(
            &mut tree,
            InodeId::ROOT,
            format!("{number}"),
            unknown(blocks * 4096, None),
        );
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
        (0, 0, 1),
        (0, 0, 30 * MIB),
        (1, 1000, 0),
        (3000, 1, 0),
        (5000, 0, MIB),
        (1, 50_000, 0),
        (1, 100_000, 10 * MIB),
        (1, 130_000, 0),
        (1, 1_000_000, MIB),
        (1, 30_000_000, 100 * GIB),
        (0, 0, 4000 * GIB),
    ] {
        let tree = Arc::new(files(count, blocks));
        let length = smallest(&tree, free);
        for more in [0, 4096, 2 * MIB - 512] {
            assert!(
                fits(&tree, length + more, free),
                "{count} files, {blocks} blocks"
            );
        }
        let mut below = length;
        while below > 40 * MIB && length - below < 200 * MIB {
            below -= if length - below < 8192 { 4096 } else { 2 * MIB };
            assert!(
                !fits(&tree, below, free),
                "{count} files of {blocks} blocks and {free} bytes: {below} < {length}"
            );
        }
    }
}

#[test]
fn a_tree_that_does_not_fit_is_reported_with_figures() {
    let tree = Arc::new(files(10, 3000));
    let length = smallest(&tree, 0);
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
    assert_eq!((needed, inodes, given), (length, 11, length - 4096));
    assert!(plan(&tree, 0).is_err());
}

/// One file of the available length fits, and the free blocks are those that the kernel counts. What
/// was written can be deleted, and the space used for small files.
#[test]
fn what_is_available_can_be_filled() {
    let directories = [scratch(), scratch(), scratch()];
    let trees = [(2000, 1, 0), (300, 20, 30 * MIB), (1, 5000, MIB)];
    let mut images = Vec::new();
    let mut script = String::new();
    for ((directory, (count, blocks, free)), disk) in directories.iter().zip(trees).zip('a'..) {
        let tree = Arc::new(files(count, blocks));
        let length = smallest(&tree, free);
        let plan = plan(&tree, length).unwrap();
        let available = plan.usage().available;
        assert!(available >= free);
        let image = write_sparsely(directory.path(), plan.as_ref(), b"");
        check(&image);
        images.push(image);
        script += &format!(
            "mount -t f2fs /dev/vd{disk} /mnt\n\
             echo free $(($(stat -f -c '%a * %S' /mnt) >= {available}))\n\
             if [ {available} -gt 0 ]; then\n\
               dd if=/dev/zero of=/mnt/full bs=64k count={available} iflag=count_bytes status=none\n\
               sync\n\
               [ $(stat -c %s /mnt/full) = {available} ]\n\
               umount /mnt; mount -t f2fs /dev/vd{disk} /mnt\n\
               rm /mnt/full\n\
             fi\n\
             rm /mnt/0; sync\n\
             for number in $(seq {}); do echo x >/mnt/new-$number; done\n\
             umount /mnt\n",
            (available / 8192).min(300)
        );
    }
    let images: Vec<_> = images.iter().map(|image| image.as_path()).collect();
    let answer = guest::script(&images, &script);
    let text = answer.text("console");
    assert_eq!(text.matches("free 1\n").count(), 3, "{text}");
    guest::assert_quiet(&answer);
    for image in images {
        check(image);
    }
}
