//! Random trees, checked by every oracle.

use std::sync::Arc;

use make_disk_image::fs::{BtrfsCompression, Format};

use super::images::*;
use super::kernel::mount_and_compare;
use crate::common::runner::runner;
use crate::common::scratch;
use crate::random_tree::{build, entry_from};

#[test]
fn random_trees_are_clean_and_as_they_were() {
    let directory = scratch();
    let trees = (
        proptest::collection::vec(entry_from(-(1i64 << 40)..1 << 40), 0..60),
        0u64..6,
        0usize..5,
    );
    runner("BTRFS_TREES", 40)
        .run(&trees, |(entries, room, subvolumes)| {
            let tree = Arc::new(build(entries));
            let mut writer = writer();
            writer.directory = directory.path().to_owned();
            writer.compression = match room % 3 {
                0 => None,
                1 => Some(BtrfsCompression::Zlib { level: 1 }),
                _ => Some(BtrfsCompression::Zstd { level: 3 }),
            };
            writer.checksums = room != 3;
            tree.walk(|path, id| {
                if tree.directory(id).is_some() && writer.subvolumes.len() < subvolumes {
                    writer.subvolumes.push(path.into());
                }
            });
            // Hard links between subvolumes are not possible.
            if writer.count(&tree, &options()).is_err() {
                writer.subvolumes.clear();
            }
            // Without free space, and with some.
            let free = room * 20 * MIB;
            let image = make_smallest(&writer, directory.path(), &tree, free);
            mount_and_compare(&image, &tree);
            Ok(())
        })
        .unwrap();
}
