//! The bytes depend on the tree and the options, and on nothing else.

use std::sync::Arc;

use make_disk_image::fs::{F2fs, Format, Options};
use make_disk_image::tree::{InodeId, Timestamp, Tree};

use super::images::*;
use crate::common::scratch;

/// All metadata and the places of all data.
fn bytes(tree: Tree, options: &Options) -> Vec<u8> {
    let tree = Arc::new(tree);
    let plan = F2fs.count(&tree, options).unwrap().plan(64 * MIB).unwrap();
    let mut all = Vec::new();
    plan.metadata(&mut |offset, bytes| {
        all.extend(offset.to_le_bytes());
        all.extend(bytes);
        Ok(())
    })
    .unwrap();
    all.extend(format!("{:?}", plan.data()).into_bytes());
    all
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
    let first = bytes(tree(false), &options());
    assert!(first == bytes(tree(false), &options()));
    assert!(first == bytes(tree(true), &options()));
}

#[test]
fn options_change_the_bytes() {
    let mut all = vec![bytes(tree(false), &options())];
    let mut changed = tree(false);
    let top = changed.lookup(InodeId::ROOT, b"top").unwrap();
    changed.inode_mut(top).metadata.mtime = Timestamp {
        seconds: 1,
        nanoseconds: 1,
    };
    all.push(bytes(changed, &options()));
    for change in [
        |options: &mut Options| options.uuid = uuid::Uuid::nil(),
        |options: &mut Options| options.label = "other".to_owned(),
    ] {
        let mut options = options();
        change(&mut options);
        all.push(bytes(tree(false), &options));
    }
    let different = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), different);
}

/// The number of threads comes from the environment, so a process of its own is needed for each.
#[test]
fn the_number_of_threads_does_not_affect_the_bytes() {
    if let Ok(path) = std::env::var("F2FS_DIGEST") {
        std::fs::write(path, bytes(tree(false), &options())).unwrap();
        return;
    }
    let directory = scratch();
    let results = ["1", "2", "0"].map(|cores| {
        let path = directory.path().join(cores);
        let mut test = std::process::Command::new(std::env::current_exe().unwrap());
        test.args([
            "--exact",
            "f2fs::determinism::the_number_of_threads_does_not_affect_the_bytes",
        ])
        .env("NIX_BUILD_CORES", cores)
        .env("F2FS_DIGEST", &path);
        assert!(test.output().unwrap().status.success());
        std::fs::read(path).unwrap()
    });
    assert!(results[0] == results[1] && results[1] == results[2]);
}
