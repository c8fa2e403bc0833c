//! The parameters of our file systems are those of `mkfs.btrfs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use make_disk_image::tree::InodeId;

use super::images::*;
use crate::common::{next, scratch, stdout};

/// What the superblock says, apart from addresses, sizes, transactions and UUIDs.
fn superblock(image: &Path) -> BTreeMap<String, String> {
    const KEPT: [&str; 18] = [
        "csum_type",
        "csum_size",
        "bytenr",
        "flags",
        "magic",
        "label",
        "sys_array_size",
        "log_root",
        "total_bytes",
        "sectorsize",
        "nodesize",
        "leafsize",
        "stripesize",
        "root_dir",
        "num_devices",
        "compat_flags",
        "compat_ro_flags",
        "incompat_flags",
    ];
    let text = btrfs(&["inspect-internal", "dump-super"], image);
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, _)| KEPT.contains(&name.as_str()) || name.starts_with("dev_item.io"))
        .collect()
}

/// The keys of the items of a tree, with the sizes of the items.
fn keys(image: &Path, tree: &str) -> BTreeSet<String> {
    let text = btrfs(&["inspect-internal", "dump-tree", "-t", tree], image);
    text.lines()
        .filter_map(|line| line.trim().split_once(" key "))
        .filter(|(item, _)| item.starts_with("item"))
        .map(|(_, key)| {
            let (key, size) = key.split_once(" itemoff ").unwrap();
            let (_, size) = size.split_once(' ').unwrap();
            format!("{key} {size}")
        })
        .collect()
}

#[test]
fn an_empty_file_system_has_the_same_parameters_and_trees() {
    let directory = scratch();
    let ours = make(directory.path(), &Arc::new(empty_tree()), GIB);
    let theirs = directory.path().join("mkfs.img");
    File::create(&theirs).unwrap().set_len(GIB).unwrap();
    stdout(
        next::program("usr/sbin/mkfs.btrfs")
            .args(["-L", "nixos"])
            .arg(&theirs),
    );
    assert_eq!(superblock(&ours), superblock(&theirs));
    // The numbers of trees, and everything that is in them by default.
    for tree in ["root", "fs", "data_reloc"] {
        assert_eq!(keys(&ours, tree), keys(&theirs, tree), "{tree}");
    }
    for profile in ["DATA|single", "SYSTEM|DUP", "METADATA|DUP"] {
        for image in [&ours, &theirs] {
            let text = btrfs(&["inspect-internal", "dump-tree", "-t", "chunk"], image);
            assert!(text.contains(&format!("type {profile}")), "{text}");
        }
    }
}

#[test]
fn all_superblocks_are_the_same() {
    let directory = scratch();
    let mut tree = empty_tree();
    tree.insert(InodeId::ROOT, b"file", file(&noise(100_000)))
        .unwrap();
    for length in [100 * MIB, 256 * GIB, 256 * GIB + 4096, 300 * GIB] {
        let image = make(directory.path(), &Arc::new(tree.clone()), length);
        let text = btrfs(&["inspect-internal", "dump-super", "-fa"], &image);
        let count = 2 + usize::from(length > 256 * GIB);
        assert_eq!(text.matches("[match]").count(), 3 * count, "{text}");
        let bytes = format!("total_bytes\t\t{length}\n");
        assert_eq!(text.matches(&bytes).count(), count, "{text}");
    }
}
