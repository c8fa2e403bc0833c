//! Random trees, checked by every oracle.

use std::sync::Arc;

use super::images::*;
use super::kernel::mount_and_compare;
use crate::common::runner::runner;
use crate::common::scratch;
use crate::random_tree::{build, entry};

#[test]
fn random_trees_are_clean_and_as_they_were() {
    let directory = scratch();
    let trees = (proptest::collection::vec(entry(), 0..60), 0u64..4);
    runner("EXT4_TREES", 200)
        .run(&trees, |(entries, room)| {
            let tree = Arc::new(build(entries));
            // Without free space, and with some.
            let length = match room {
                0 => smallest(&tree, 0),
                _ => smallest(&tree, room * 20 * MIB),
            };
            let image = make(directory.path(), &tree, length);
            mount_and_compare(&image, &tree);
            Ok(())
        })
        .unwrap();
}
