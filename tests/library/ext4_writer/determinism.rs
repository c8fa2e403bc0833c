//! The bytes depend on the tree and the options, and on nothing else.

use std::path::Path;
use std::sync::Arc;

use make_disk_image::fs::{Ext4, Format, Options};
use make_disk_image::tree::{InodeId, Timestamp, Tree};

use super::images::*;
use crate::common::program::hash;
use crate::common::scratch;

fn digest(directory: &Path, tree: Tree, options: &Options) -> String {
    let tree = Arc::new(tree);
    let plan = Ext4.count(&tree, options).unwrap().plan(16 * MIB).unwrap();
    hash(write(directory, plan))
}

/// A tree whose entries are inserted in order or in reverse order.
fn tree(backwards: bool) -> Tree {
    let mut tree = empty_tree();
    let mut numbers: Vec<usize> = (0..900).collect();
    if backwards {
        numbers.reverse();
    }
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    for number in numbers {
        let name = format!("{number:0>30}");
        let bytes = vec![u8::try_from(number % 256).unwrap(); number * 7];
        let id = tree.insert(top, name.as_bytes(), file(&bytes)).unwrap();
        tree.link(InodeId::ROOT, name.as_bytes(), id).unwrap();
    }
    tree
}

#[test]
fn the_order_in_which_a_tree_was_made_does_not_affect_the_bytes() {
    let directory = scratch();
    let first = digest(directory.path(), tree(false), &options());
    assert_eq!(first, digest(directory.path(), tree(false), &options()));
    assert_eq!(first, digest(directory.path(), tree(true), &options()));
}

#[test]
fn options_change_the_bytes() {
    let directory = scratch();
    let mut digests = vec![digest(directory.path(), tree(false), &options())];
    let mut changed = tree(false);
    let top = changed.lookup(InodeId::ROOT, b"top").unwrap();
    changed.inode_mut(top).metadata.mtime = Timestamp {
        seconds: 1,
        nanoseconds: 1,
    };
    digests.push(digest(directory.path(), changed, &options()));
    for change in [
        |options: &mut Options| options.uuid = uuid::Uuid::nil(),
        |options: &mut Options| options.label = "other".to_owned(),
        |options: &mut Options| options.time.seconds += 1,
    ] {
        let mut options = options();
        change(&mut options);
        digests.push(digest(directory.path(), tree(false), &options));
    }
    let different = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), different);
}
