//! `resize.f2fs` grows images. (It fails if there are few free segments, also on images of `mkfs.f2fs`:
//! it has to move what is where the larger tables will be.)

use std::fs::File;
use std::sync::Arc;

use make_disk_image::tree::{InodeId, Tree};

use super::checks::{check, tool};
use super::guest;
use super::images::*;
use super::kernel::compare;
use crate::common::{scratch, stdout};

fn tree() -> Arc<Tree> {
    let mut tree = empty_tree();
    let top = add(&mut tree, InodeId::ROOT, "top", directory());
    for number in 0..1000 {
        let name = format!("{number:0>60}");
        let bytes = name.repeat(number % 200);
        add(&mut tree, top, &name, file(bytes.as_bytes()));
    }
    add(&mut tree, InodeId::ROOT, "long", file(&[3; 10_000_000]));
    Arc::new(tree)
}

#[test]
fn images_grow_offline() {
    let tree = tree();
    let mut images = Vec::new();
    for (length, to) in [
        (smallest(&tree, 64 * MIB), 300 * MIB),
        (smallest(&tree, 0), 3 * GIB),
        (600 * MIB, 20 * GIB),
    ] {
        let directory = scratch();
        let image = make(directory.path(), &tree, length);
        File::options()
            .write(true)
            .open(&image)
            .unwrap()
            .set_len(to)
            .unwrap();
        stdout(tool("resize.f2fs").arg(&image));
        check(&image);
        images.push((image, directory));
    }
    let paths: Vec<_> = images.iter().map(|(image, _)| image.as_path()).collect();
    for listing in guest::list(&paths) {
        compare(&listing, &tree);
    }
    for path in paths {
        check(path);
    }
}
