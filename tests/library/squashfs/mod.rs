//! squashfs made by `sqfstar` of Debian 13, against the kernel (loop mounts, as root),
//! `unsquashfs` and GRUB's driver.
//!
//! `SQUASHFS_TREES` is the number of random trees (10).

mod errors;
mod trees;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use make_disk_image::fs::{Counted, Format, PlanError, Squashfs, SquashfsCompression};
use make_disk_image::tree::{Inode, InodeId, Tree};

use crate::common::mount::Mount;
use crate::common::{next, stdout};
use crate::ext4_writer::images::*;
use crate::ext4_writer::kernel::compare;

const ZSTD: SquashfsCompression = SquashfsCompression::Zstd { level: 3 };

/// A script in `directory` that runs Debian 13's `sqfstar`.
fn sqfstar(directory: &Path) -> PathBuf {
    let command = next::program("usr/bin/sqfstar");
    let mut script = "#!/bin/sh\nexec".to_owned();
    for word in [command.get_program()]
        .into_iter()
        .chain(command.get_args())
    {
        script.push_str(&format!(" '{}'", word.to_str().unwrap()));
    }
    script.push_str(" \"$@\"\n");
    program(directory, &script)
}

/// An executable script in `directory`.
fn program(directory: &Path, script: &str) -> PathBuf {
    let path = directory.join("sqfstar");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn squashfs(directory: &Path, compression: SquashfsCompression, block_size: u32) -> Squashfs {
    Squashfs {
        sqfstar: sqfstar(directory),
        directory: directory.to_owned(),
        compression,
        block_size,
        threads: 2,
    }
}

fn count(squashfs: &Squashfs, tree: &Arc<Tree>) -> Result<Box<dyn Counted>, PlanError> {
    squashfs.count(tree, &options())
}

/// Makes the smallest image.
fn make(directory: &Path, squashfs: &Squashfs, tree: &Arc<Tree>) -> PathBuf {
    let counted = count(squashfs, tree).unwrap();
    let length = counted.smallest(123 * MIB).unwrap();
    assert_eq!(length % 4096, 0);
    let plan = counted.plan(length).unwrap();
    assert_eq!(plan.usage().available, 0);
    check_plan(plan.as_ref());
    // Nothing is left but the script.
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
    write(directory, plan)
}

/// Lists with unsquashfs, mounts and compares. The tree must have a `lost+found`, which the
/// comparison expects.
fn check_image(image: &Path, tree: &Tree) {
    let listed = next::program("usr/bin/unsquashfs")
        .args(["-lln", "-quiet"])
        .arg(image)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let mount = Mount::with(&["-t", "squashfs", "-o", "loop,ro"], image);
    compare(mount.path(), tree);
    mount.unmount();
}

/// A directory with an attribute: Linux lists none, but fails, if there is not a single one.
fn lost_found() -> Inode {
    let mut inode = directory();
    inode.metadata.xattrs = vec![xattr("user.x", b"y")].into();
    inode
}

fn with_lost_found() -> Tree {
    let mut tree = empty_tree();
    tree.insert(InodeId::ROOT, b"lost+found", lost_found())
        .unwrap();
    tree
}

/// The output of `unsquashfs -s`.
fn header(image: &Path) -> String {
    stdout(next::program("usr/bin/unsquashfs").arg("-s").arg(image))
}
