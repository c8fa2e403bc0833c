//! The bytes depend on the tree and the options, and on nothing else.

use std::path::Path;
use std::sync::Arc;

use make_disk_image::fs::{Erofs, ErofsCompression, Format, Options};
use make_disk_image::tree::{InodeId, Timestamp, Tree};

use super::images::*;
use crate::common::program::hash;
use crate::common::scratch;

fn digest(
    directory: &Path,
    tree: Tree,
    options: &Options,
    compression: Option<ErofsCompression>,
    threads: usize,
) -> String {
    let erofs = Erofs {
        threads,
        ..erofs(directory, compression)
    };
    let counted = erofs.count(&Arc::new(tree), options).unwrap();
    let plan = counted.plan(counted.smallest(0).unwrap()).unwrap();
    hash(write(directory, plan))
}

/// A tree whose entries are inserted in order or in reverse order.
fn tree(backwards: bool) -> Tree {
    let mut tree = empty_tree();
    let mut numbers: Vec<usize> = (0..300).collect();
    if backwards {
        numbers.reverse();
    }
    let top = add(&mut tree, "top", directory());
    for number in numbers {
        let name = format!("{number:0>30}");
        let mut file = file(&text(number as u64, number * 31));
        let value = format!("{}", number % 9);
        file.metadata.xattrs = vec![xattr("user.x", value.as_bytes())].into();
        let id = tree.insert(top, name.as_bytes(), file).unwrap();
        tree.link(InodeId::ROOT, name.as_bytes(), id).unwrap();
    }
    add(&mut tree, "long", file(&text(1, 2_000_000)));
    tree
}

#[test]
fn neither_the_order_in_which_a_tree_was_made_nor_the_number_of_threads_affects_the_bytes() {
    let directory = scratch();
    for compression in ALL {
        let make = |backwards, threads| {
            let tree = tree(backwards);
            digest(directory.path(), tree, &options(), compression, threads)
        };
        let first = make(false, 1);
        assert_eq!(first, make(false, 7));
        assert_eq!(first, make(true, 2));
    }
}

#[test]
fn options_change_the_bytes() {
    let directory = scratch();
    let make = |tree, options: &Options| digest(directory.path(), tree, options, None, 2);
    let mut digests = vec![make(tree(false), &options())];
    let mut changed = tree(false);
    let top = changed.lookup(InodeId::ROOT, b"top").unwrap();
    changed.inode_mut(top).metadata.mtime = Timestamp {
        seconds: 1,
        nanoseconds: 1,
    };
    digests.push(make(changed, &options()));
    for change in [
        |options: &mut Options| options.uuid = uuid::Uuid::nil(),
        |options: &mut Options| options.label = "other".to_owned(),
        |options: &mut Options| options.time.seconds += 1,
    ] {
        let mut options = options();
        change(&mut options);
        digests.push(make(tree(false), &options));
    }
    for compression in &ALL[1..] {
        let tree = tree(false);
        digests.push(digest(directory.path(), tree, &options(), *compression, 2));
    }
    let different = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), different);
}
