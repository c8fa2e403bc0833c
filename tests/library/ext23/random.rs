//! Random trees, checked by every oracle.

use std::sync::Arc;

use proptest::prelude::*;

use super::images::*;
use crate::common::runner::runner;
use crate::common::scratch;
use crate::ext4_writer::kernel::compare;
use crate::random_tree::{build, entry};

#[test]
fn random_trees_are_clean_and_as_they_were() {
    let directory = scratch();
    let trees = (
        proptest::collection::vec(entry(), 0..60),
        0u64..4,
        any::<bool>(),
    );
    runner("EXT23_TREES", 12)
        .run(&trees, |(entries, room, with_journal)| {
            let mut tree = build(entries);
            let mut inodes = Vec::new();
            tree.walk(|_, id| inodes.push(id));
            for inode in inodes {
                let metadata = &mut tree.inode_mut(inode).metadata;
                // What ext2 has no room for.
                metadata.mtime.seconds %= 1 << 31;
                let mut room = 4000usize;
                metadata.xattrs.retain(|xattr| {
                    let length = xattr.name.len() + xattr.value.len() + 24;
                    let fits = length <= room;
                    room = room.saturating_sub(length);
                    fits
                });
            }
            let tree = Arc::new(tree);
            let (kind, format) = TYPES[usize::from(with_journal)];
            let length = count(format, &tree).smallest(room * 20 * MIB).unwrap();
            let image = make(directory.path(), format, &tree, length);
            let mount = mount(&image, kind, "ro");
            compare(mount.path(), &tree);
            mount.unmount();
            Ok(())
        })
        .unwrap();
}
