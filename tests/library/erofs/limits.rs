//! What exceeds the limits is an error with the path and the limit, before anything is written.

use std::sync::Arc;

use make_disk_image::fs::{Format, PlanError};
use make_disk_image::tree::{Content, DataRange, Device, InodeId, Kind, Source, Tree};

use super::images::*;
use super::kernel::mount_and_compare;
use crate::common::{scratch, stdout};

/// The error of planning `tree`.
fn problems(tree: &Tree) -> Vec<String> {
    let directory = scratch();
    let Err(PlanError::Unrepresentable(problems)) =
        plan(directory.path(), &Arc::new(tree.clone()), None)
    else {
        panic!("planned what EROFS can't hold");
    };
    problems
}

fn content(size: u64, data: &[(u64, u64)]) -> Kind {
    let ranges = data
        .iter()
        .map(|&(offset, length)| DataRange { offset, length });
    Kind::File(Content {
        size,
        source: Source::Bytes(Arc::from(&b""[..])),
        data: Some(Box::new(ranges.collect())),
    })
}

#[test]
fn limits_of_inodes_are_reported_with_the_path() {
    let device = |major, minor| Kind::CharacterDevice(Device { major, minor });
    for (kind, message) in [
        (
            Kind::Symlink(vec![b'x'; 4096].into()),
            "the link target has 4096 bytes; EROFS's limit is 4095",
        ),
        (
            Kind::Symlink(b"a\0b".as_slice().into()),
            "the link target is empty or contains a NUL",
        ),
        (
            content(1 << 63, &[]),
            "the file has 9223372036854775808 bytes; EROFS's limit is 9223372036854775807",
        ),
        (
            content(10, &[(4, 4), (6, 1)]),
            "invalid data range of 1 bytes at 6: the previous one ends at 8, the file at 10",
        ),
        (
            device(4096, 0),
            "the device number is 4096:0; Linux's limit is 4095:1048575",
        ),
    ] {
        let mut tree = empty_tree();
        let parent = add(&mut tree, "a", directory());
        tree.insert(parent, b"b\n", inode(kind)).unwrap();
        assert_eq!(problems(&tree), [format!("/a/b\\n: {message}")]);
    }
}

#[test]
fn other_limits_are_reported_with_the_path() {
    let mut tree = empty_tree();
    let mut owned = file(b"");
    (owned.metadata.uid, owned.metadata.gid) = (u32::MAX, u32::MAX);
    owned.metadata.mtime.nanoseconds = 1_000_000_000;
    owned.metadata.xattrs = vec![xattr("btrfs.compression", b"zstd")].into();
    add(&mut tree, "1", owned);
    let name = "n".repeat(256);
    add(&mut tree, &name, file(b""));
    let top = add(&mut tree, "top", directory());
    tree.link(top, b"top again", top).unwrap();
    tree.link(top, b"root", InodeId::ROOT).unwrap();
    assert_eq!(
        problems(&tree),
        [
            "/1: the owner ID is 4294967295; the limit is 4294967294".to_owned(),
            "/1: the group ID is 4294967295; the limit is 4294967294".to_owned(),
            "/1: the time has 1000000000 ns; the limit is 999999999".to_owned(),
            "/1: EROFS does not support the extended attribute btrfs.compression".to_owned(),
            format!("/{name}: the name has 256 bytes; EROFS's limit is 255"),
            "/top/root: a hard link to a directory".to_owned(),
            "/top/top again: a hard link to a directory".to_owned(),
        ]
    );
    let mut long = empty_tree();
    add(&mut long, "long", inode(content(1 << 44, &[(0, 1 << 44)])));
    assert_eq!(
        problems(&long),
        ["a file system of 17592186048512 bytes; EROFS's limit is 17592186040320 (16 TiB)"]
    );
}

#[test]
fn a_label_has_15_bytes() {
    let directory = scratch();
    let tree = Arc::new(empty_tree());
    let mut options = options();
    options.label = "sixteen bytes...".to_owned();
    let Err(error) = erofs(directory.path(), None).count(&tree, &options) else {
        panic!("took a label of 16 bytes");
    };
    let message = "the label \"sixteen bytes...\" has 16 bytes; EROFS's limit is 15";
    assert!(error.to_string().contains(message), "{error}");
    options.label.pop();
    let counted = erofs(directory.path(), None)
        .count(&tree, &options)
        .unwrap();
    let image = write(directory.path(), counted.plan(4096).unwrap());
    let label = stdout(
        crate::common::command("blkid")
            .args(["-o", "value", "-s", "LABEL"])
            .arg(&image),
    );
    assert_eq!(label.trim(), options.label);
}

#[test]
fn any_length_from_the_smallest_is_accepted() {
    let directory = scratch();
    let mut tree = empty_tree();
    add(&mut tree, "file", file(&noise(1, 100_000)));
    let tree = Arc::new(tree);
    let counted = erofs(directory.path(), None)
        .count(&tree, &options())
        .unwrap();
    let smallest = counted.smallest(0).unwrap();
    assert_eq!(counted.smallest(MIB).unwrap(), smallest);
    for length in [smallest, smallest + 1, smallest + 4096, 100 * MIB] {
        let plan = counted.plan(length).unwrap();
        assert_eq!((plan.length(), plan.usage().available), (length, 0));
        let image = write(directory.path(), plan);
        check(&image);
        mount_and_compare(&image, &tree);
    }
    let Err(PlanError::TooSmall {
        needed,
        inodes,
        length,
    }) = counted.plan(smallest - 1)
    else {
        panic!("planned too small a file system");
    };
    assert_eq!((needed, inodes, length), (smallest, 2, smallest - 1));
}
