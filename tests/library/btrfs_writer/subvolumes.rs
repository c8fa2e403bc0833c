//! Directories that become subvolumes.

use std::sync::Arc;

use make_disk_image::fs::{Btrfs, Format, PlanError};
use make_disk_image::tree::{InodeId, Kind, Tree};

use super::images::*;
use super::kernel::compare;
use crate::common::{next, scratch, stdout};

/// A tree with the directories `/nix/store/a`, `/home/user` and `/home/user/cache`, each with files.
fn tree() -> Tree {
    let mut tree = empty_tree();
    for path in ["nix/store/a", "home/user/cache", "root"] {
        let mut at = InodeId::ROOT;
        for name in path.split('/') {
            at = match tree.lookup(at, name.as_bytes()) {
                Some(id) => id,
                None => tree.insert(at, name.as_bytes(), directory()).unwrap(),
            };
            let one = tree.insert(at, b"one", file(&noise(5000)));
            if let Ok(one) = one {
                tree.link(at, b"two", one).unwrap();
                tree.insert(at, b"small", file(b"small")).unwrap();
            }
        }
        tree.inode_mut(at).metadata.mode = 0o1711;
        tree.inode_mut(at).metadata.uid = 1000;
        tree.inode_mut(at).metadata.xattrs = vec![xattr("user.x", b"y")].into();
    }
    let link = inode(Kind::Symlink(b"nix".as_slice().into()));
    tree.insert(InodeId::ROOT, b"link", link).unwrap();
    tree
}

fn with(subvolumes: &[&str]) -> Btrfs {
    Btrfs {
        subvolumes: subvolumes
            .iter()
            .map(|path| path.as_bytes().into())
            .collect(),
        ..writer()
    }
}

#[test]
fn directories_become_subvolumes() {
    let directory = scratch();
    let tree = Arc::new(tree());
    let writer = with(&["/nix", "home/user/cache", "home", "/root/", "nix/store/a"]);
    let image = make_smallest(&writer, directory.path(), &tree, MIB);
    let mount = mount(&image, "rw");
    compare(mount.path(), &tree);
    let listed = btrfs(&["subvolume", "list", "-t", "-p"], mount.path());
    let mut found: Vec<_> = listed
        .lines()
        .skip(2)
        .map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            // ID gen parent top path
            (fields[0], fields[2], fields[4])
        })
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("256", "5", "home"),
            ("257", "5", "nix"),
            ("258", "5", "root"),
            ("259", "256", "home/user/cache"),
            ("260", "257", "nix/store/a"),
        ]
    );
    // A snapshot does not contain the subvolumes in it.
    let snapshot = mount.path().join("snapshot");
    stdout(
        next::program("usr/bin/btrfs")
            .args(["subvolume", "snapshot"])
            .arg(mount.path().join("home"))
            .arg(&snapshot),
    );
    assert!(snapshot.join("user/one").exists());
    assert!(!snapshot.join("user/cache/one").exists());
    btrfs(&["subvolume", "delete"], &mount.path().join("nix/store/a"));
    mount.unmount();
    check(&image);
    // As NixOS mounts it.
    let mount = super::images::mount(&image, "ro,subvol=home");
    assert!(mount.path().join("user/one").exists());
    mount.unmount();
}

#[test]
fn paths_that_are_no_directories_are_reported() {
    let mut tree = tree();
    let one = tree.lookup(InodeId::ROOT, b"nix").unwrap();
    let one = tree.lookup(one, b"one").unwrap();
    let home = tree.lookup(InodeId::ROOT, b"home").unwrap();
    tree.link(home, b"linked", one).unwrap();
    let tree = Arc::new(tree);
    let writer = with(&[
        "/",
        "missing",
        "nix/one",
        "link",
        "home/../nix",
        "home",
        "/home/",
        "nix\n",
    ]);
    let Err(PlanError::Unrepresentable(problems)) = writer.count(&tree, &options()) else {
        panic!("made strange subvolumes");
    };
    let no_directory = "a subvolume must be a directory, not a file or a symbolic link";
    assert_eq!(
        problems,
        [
            "/: the root directory is a subvolume in any case".to_owned(),
            "missing: there is no such directory for a subvolume".to_owned(),
            format!("nix/one: {no_directory}"),
            format!("link: {no_directory}"),
            "home/../nix: the path of a subvolume can't contain \"..\"".to_owned(),
            "/home/: the subvolume is given twice".to_owned(),
            "nix\\n: there is no such directory for a subvolume".to_owned(),
            "/home/linked: a hard link to a file of another subvolume, which btrfs does not allow"
                .to_owned(),
        ]
    );
}
