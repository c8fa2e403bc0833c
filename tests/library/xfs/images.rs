//! What the tests do with XFS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use make_disk_image::fs::{Counted, Format, Plan, PlanError, Xfs};
use make_disk_image::tree::Tree;

use crate::common::mount::Mount;
use crate::common::{roots, scratch};
pub use crate::ext4_writer::images::{
    GIB, MIB, check_plan, directory, empty_tree, file, inode, options, write, write_sparsely, xattr,
};
use crate::ext4_writer::kernel::compare_names;

pub fn count(tree: &Arc<Tree>) -> Box<dyn Counted> {
    Xfs.count(tree, &options()).unwrap()
}

pub fn plan(tree: &Arc<Tree>, length: u64) -> Result<Box<dyn Plan>, PlanError> {
    Xfs.count(tree, &options())?.plan(length)
}

/// Plans, writes, and checks with xfs_repair.
pub fn make(directory: &Path, tree: &Arc<Tree>, length: u64) -> PathBuf {
    let plan = plan(tree, length).unwrap();
    check_plan(plan.as_ref());
    let image = write(directory, plan);
    check(&image);
    image
}

/// Asserts that `xfs_repair -n` finds nothing.
pub fn check(image: &Path) {
    roots::check_alone("xfs", image);
}

/// Mounts an image. Those of other tests have the same UUID and may be mounted, too.
pub fn mount(image: &Path, options: &str) -> Mount {
    let options = format!("loop,nouuid,{options}");
    Mount::with(&["-t", "xfs", "-o", &options], image)
}

/// Asserts that the kernel finds `tree` in the image.
pub fn mount_and_compare(image: &Path, tree: &Tree) {
    let mount = mount(image, "ro");
    compare_names(mount.path(), tree, 0);
    mount.unmount();
}

/// Makes the smallest image of `tree` with a little free space, and compares.
pub fn make_and_compare(tree: Tree) {
    let directory = scratch();
    let tree = Arc::new(tree);
    let length = count(&tree).smallest(16 * MIB).unwrap();
    let image = make(directory.path(), &tree, length);
    mount_and_compare(&image, &tree);
}
