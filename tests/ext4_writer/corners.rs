//! Corners, each by name.

use std::sync::Arc;

use crate::common::scratch;
use crate::images::*;

#[test]
fn an_empty_tree() {
    let directory = scratch();
    let tree = Arc::new(empty_tree());
    for length in [8 * MIB, 100 * MIB, 600 * MIB, 3 * GIB] {
        make(directory.path(), &tree, length);
    }
}
