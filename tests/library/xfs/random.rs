//! Random trees, checked by every oracle.

use std::sync::Arc;

use make_disk_image::tree::Kind;

use super::images::*;
use crate::common::runner::runner;
use crate::common::scratch;
use crate::random_tree::{build, entry};

#[test]
fn random_trees_are_clean_and_as_they_were() {
    let directory = scratch();
    let trees = (proptest::collection::vec(entry(), 0..60), 0u64..4);
    runner("XFS_TREES", 25)
        .run(&trees, |(entries, room)| {
            let mut tree = build(entries);
            let mut inodes = Vec::new();
            tree.walk(|_, id| inodes.push(id));
            for inode in inodes {
                // What XFS has no room for.
                match &mut tree.inode_mut(inode).kind {
                    Kind::Symlink(target) if target.len() > 1023 => {
                        *target = target[..1023].into();
                    }
                    Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
                        device.major %= 1 << 9;
                        device.minor %= 1 << 18;
                    }
                    _ => {}
                }
            }
            let tree = Arc::new(tree);
            let length = count(&tree).smallest(room * 100 * MIB).unwrap();
            let image = make(directory.path(), &tree, length);
            mount_and_compare(&image, &tree);
            Ok(())
        })
        .unwrap();
}
