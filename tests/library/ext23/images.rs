//! The two types, and what the tests do with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use make_disk_image::fs::{Counted, Ext2, Ext3, Format};
use make_disk_image::tree::Tree;

use crate::common::mount::Mount;
pub use crate::ext4_writer::images::*;
use crate::ext4_writer::kernel::compare;

/// Both types by name.
pub const TYPES: [(&str, &dyn Format); 2] = [("ext2", &Ext2), ("ext3", &Ext3)];

pub fn count(format: &dyn Format, tree: &Arc<Tree>) -> Box<dyn Counted> {
    format.count(tree, &options()).unwrap()
}

/// Plans, writes, and checks with e2fsck.
pub fn make(directory: &Path, format: &dyn Format, tree: &Arc<Tree>, length: u64) -> PathBuf {
    let plan = count(format, tree).plan(length).unwrap();
    check_plan(plan.as_ref());
    let image = write(directory, plan);
    e2fsck(&image);
    image
}

/// Mounts an image as the type `kind`.
pub fn mount(image: &Path, kind: &str, options: &str) -> Mount {
    Mount::with(&["-t", kind, "-o", &format!("loop,{options}")], image)
}

/// Makes the smallest image of each type that has `free` bytes, and compares what the kernel sees.
pub fn make_and_compare(tree: Tree, free: u64) {
    let tree = Arc::new(tree);
    for (kind, format) in TYPES {
        let directory = crate::common::scratch();
        let length = count(format, &tree).smallest(free).unwrap();
        let image = make(directory.path(), format, &tree, length);
        let mount = mount(&image, kind, "ro");
        compare(mount.path(), &tree);
        mount.unmount();
    }
}
