//! Our file systems grow, shrink, are balanced and scrubbed, and are clean afterwards.

use std::fs::{self, OpenOptions};
use std::sync::Arc;

use make_disk_image::tree::{InodeId, Tree};

use super::images::*;
use super::kernel::compare;
use crate::common::{next, run, said, scratch};

fn tree() -> Arc<Tree> {
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    for number in 0..1000 {
        let name = format!("{number:0>60}");
        let bytes = name.repeat(number % 200);
        tree.insert(top, name.as_bytes(), file(bytes.as_bytes()))
            .unwrap();
    }
    Arc::new(tree)
}

#[test]
fn a_file_system_is_scrubbed_balanced_and_defragmented() {
    let directory = scratch();
    let tree = tree();
    // Room for more chunks.
    let image = make(directory.path(), &tree, 2 * GIB);
    let mount = mount(&image, "rw");
    let scrubbed = btrfs(&["scrub", "start", "-B"], mount.path());
    assert!(scrubbed.contains("no errors found"), "{scrubbed}");
    btrfs(&["balance", "start", "--full-balance"], mount.path());
    compare(mount.path(), &tree);
    btrfs(&["filesystem", "defragment", "-r"], mount.path());
    mount.unmount();
    check(&image);
}

#[test]
fn a_file_system_grows_and_shrinks() {
    let directory = scratch();
    let tree = tree();
    let length = smallest(&tree, MIB);
    let image = make(directory.path(), &tree, length);
    let longer = OpenOptions::new().write(true).open(&image).unwrap();
    longer.set_len(300 * GIB).unwrap();
    let mount = mount(&image, "rw");
    compare(mount.path(), &tree);
    btrfs(&["filesystem", "resize", "max"], mount.path());
    assert!(mount.available() > 290 * GIB);
    btrfs(&["filesystem", "resize", "2G"], mount.path());
    compare(mount.path(), &tree);
    fs::write(mount.path().join("new"), noise(20 << 20)).unwrap();
    mount.unmount();
    check(&image);
}

#[test]
fn the_backup_superblock_and_the_backup_roots_are_used() {
    use std::os::unix::fs::FileExt;
    let directory = scratch();
    let tree = tree();
    let image = make(directory.path(), &tree, smallest(&tree, 0));
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&[0; 4096], 65_536).unwrap();
    let mut recover = next::program("usr/bin/btrfs");
    let output = run(recover.args(["rescue", "super-recover", "-y"]).arg(&image));
    let text = said(&output);
    assert!(text.contains("Recovered bad superblocks"), "{text}");
    check(&image);
    let mount = mount(&image, "ro,rescue=usebackuproot");
    compare(mount.path(), &tree);
    mount.unmount();
}
