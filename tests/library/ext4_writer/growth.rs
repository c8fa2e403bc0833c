//! `resize2fs` grows and shrinks our images, and they are clean afterwards.

use std::path::Path;
use std::sync::Arc;

use make_disk_image::tree::{InodeId, Tree};

use super::images::*;
use super::kernel::mount_and_compare;
use crate::common::mount::Mount;
use crate::common::{command, scratch, stdout};

fn tree() -> Arc<Tree> {
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    for number in 0..3000 {
        let name = format!("{number:0>60}");
        let bytes = name.repeat(number % 200);
        tree.insert(top, name.as_bytes(), file(bytes.as_bytes()))
            .unwrap();
    }
    Arc::new(tree)
}

fn resize(image: &Path, arguments: &[&str]) {
    stdout(command("resize2fs").arg(image).args(arguments));
    check_changed(image);
}

#[test]
fn images_grow_offline_to_20_gib_100_gib_and_3_tib() {
    let tree = tree();
    for (length, to) in [
        // Up to 1,024 times the size. Beyond that, resize2fs fails on images of mkfs.ext4, too.
        (smallest(&tree, 0), "20G"),
        (600 * MIB, "100G"),
        (4 * GIB, "3T"),
    ] {
        let directory = scratch();
        let image = make(directory.path(), &tree, length);
        resize(&image, &[to]);
        mount_and_compare(&image, &tree);
    }
}

#[test]
fn an_image_grows_in_steps_and_shrinks_to_the_least() {
    let directory = scratch();
    let tree = tree();
    let image = make(directory.path(), &tree, 2 * GIB);
    for size in ["3G", "5G", "9G"] {
        resize(&image, &[size]);
    }
    resize(&image, &["-M"]);
    mount_and_compare(&image, &tree);
    assert!(std::fs::metadata(&image).unwrap().len() < GIB);
    resize(&image, &["1G"]);
    let mount = Mount::new(&image, "rw");
    std::fs::write(mount.path().join("new"), vec![1; 100_000]).unwrap();
    mount.unmount();
    check_changed(&image);
}
