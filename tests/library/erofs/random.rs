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
    let trees = (proptest::collection::vec(entry(), 0..60), 0..ALL.len());
    runner("EROFS_TREES", 60)
        .run(&trees, |(entries, compression)| {
            let tree = Arc::new(build(entries));
            let image = make(directory.path(), &tree, ALL[compression]);
            mount_and_compare(&image, &tree);
            Ok(())
        })
        .unwrap();
}
