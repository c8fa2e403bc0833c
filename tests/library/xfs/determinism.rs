//! The bytes depend on the tree and the options, and on nothing else.

use std::collections::HashSet;
use std::sync::Arc;

use make_disk_image::fs::{Format, Options, Xfs};
use make_disk_image::tree::{InodeId, Timestamp, Tree};
use sha2::{Digest, Sha256};

use super::images::*;

/// The hash of all metadata and of the places of all data.
fn digest(tree: Tree, options: &Options) -> Vec<u8> {
    let plan = Xfs
        .count(&Arc::new(tree), options)
        .and_then(|counted| counted.plan(320 * MIB))
        .unwrap();
    let mut hash = Sha256::new();
    plan.metadata(&mut |offset, bytes| {
        hash.update(offset.to_le_bytes());
        hash.update(bytes);
        Ok(())
    })
    .unwrap();
    hash.update(format!("{:?}", plan.data()));
    hash.finalize().to_vec()
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
        let mut file = file(&vec![1; number * 7]);
        file.metadata.xattrs = vec![xattr("user.x", &[2; 300])].into();
        let id = tree.insert(top, name.as_bytes(), file).unwrap();
        tree.link(InodeId::ROOT, name.as_bytes(), id).unwrap();
    }
    tree
}

#[test]
fn only_the_tree_and_the_options_change_the_bytes() {
    let first = digest(tree(false), &options());
    assert_eq!(first, digest(tree(false), &options()));
    assert_eq!(first, digest(tree(true), &options()));
    let mut digests = HashSet::from([first]);
    let mut changed = tree(false);
    let top = changed.lookup(InodeId::ROOT, b"top").unwrap();
    changed.inode_mut(top).metadata.mtime = Timestamp {
        seconds: 1,
        nanoseconds: 1,
    };
    assert!(digests.insert(digest(changed, &options())));
    for change in [
        |options: &mut Options| options.uuid = uuid::Uuid::nil(),
        |options: &mut Options| options.label = "other".to_owned(),
        |options: &mut Options| options.time.seconds += 1,
    ] {
        let mut options = options();
        change(&mut options);
        assert!(digests.insert(digest(tree(false), &options)));
    }
}
