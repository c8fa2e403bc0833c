//! Random trees, checked by `fsck.f2fs` and the kernel.

use proptest::strategy::{Strategy, ValueTree};

use super::kernel::make_and_compare;
use crate::common::runner::runner;
use crate::random_tree::{build, entry};

/// All trees are compared by one guest, because a guest takes a second.
#[test]
fn random_trees_are_clean_and_as_they_were() {
    let mut runner = runner("F2FS_TREES", 12);
    let strategy = proptest::collection::vec(entry(), 0..50);
    let trees = (0..runner.config().cases)
        .map(|_| build(strategy.new_tree(&mut runner).unwrap().current()))
        .collect();
    make_and_compare(trees, 0);
}
