//! What exceeds ext4's limits is an error with the path and the limit, before anything is written.

use std::sync::Arc;

use make_disk_image::fs::{Ext4, Format, PlanError};
use make_disk_image::tree::{Content, DataRange, Device, InodeId, Kind, Source, Timestamp, Tree};

use super::images::*;

/// The error of planning `tree`.
fn problems(tree: &Tree) -> Vec<String> {
    let tree = Arc::new(tree.clone());
    let Err(PlanError::Unrepresentable(problems)) = plan(&tree, GIB) else {
        panic!("planned what ext4 can't hold");
    };
    let sized = Ext4
        .count(&tree, &options())
        .and_then(|counted| counted.smallest(0));
    let Err(PlanError::Unrepresentable(again)) = sized else {
        panic!("found a size for what ext4 can't hold");
    };
    assert_eq!(problems, again);
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
fn inode_limits_are_reported_with_the_path() {
    let device = |major, minor| Kind::CharacterDevice(Device { major, minor });
    let cases: Vec<(Kind, &str)> = vec![
        (
            Kind::Symlink(vec![b'x'; 4096].into()),
            "the link target has 4096 bytes; ext4's limit is 4095",
        ),
        (
            Kind::Symlink(Box::default()),
            "the link target is empty or contains a NUL",
        ),
        (
            Kind::Symlink(b"a\0b".as_slice().into()),
            "the link target is empty or contains a NUL",
        ),
        (
            content((16 << 40) - 4095, &[]),
            "the file has 17592186040321 bytes; ext4's limit is 17592186040320",
        ),
        (
            content(10, &[(8, 3)]),
            "invalid data range of 3 bytes at 8: the previous one ends at 0, the file at 10",
        ),
        (
            content(10, &[(4, 4), (6, 1)]),
            "invalid data range of 1 bytes at 6: the previous one ends at 8, the file at 10",
        ),
        (
            content(10, &[(u64::MAX, 2)]),
            "invalid data range of 2 bytes at 18446744073709551615: the previous one ends at 0, the file at 10",
        ),
        (
            device(4096, 0),
            "the device number is 4096:0; Linux's limit is 4095:1048575",
        ),
        (
            device(0, 1 << 20),
            "the device number is 0:1048576; Linux's limit is 4095:1048575",
        ),
    ];
    for (kind, message) in cases {
        let mut tree = empty_tree();
        let parent = tree.insert(InodeId::ROOT, b"a", directory()).unwrap();
        tree.insert(parent, b"b\n", inode(kind)).unwrap();
        assert_eq!(problems(&tree), [format!("/a/b\\n: {message}")]);
    }
}

#[test]
fn metadata_limits_are_reported_with_the_path() {
    let time = |seconds, nanoseconds| Timestamp {
        seconds,
        nanoseconds,
    };
    let mut tree = empty_tree();
    for (name, change) in [
        (&b"1"[..], time(-(1 << 31) - 1, 0)),
        (b"2", time((1 << 34) - (1 << 31), 0)),
        (b"3", time(0, 1_000_000_000)),
    ] {
        let mut file = file(b"");
        file.metadata.mtime = change;
        tree.insert(InodeId::ROOT, name, file).unwrap();
    }
    let mut owned = file(b"");
    (owned.metadata.uid, owned.metadata.gid) = (u32::MAX, u32::MAX);
    owned.metadata.xattrs = vec![xattr("user.x", &[0; 4041])].into();
    tree.insert(InodeId::ROOT, b"4", owned).unwrap();
    let range = "ext4's range is -2147483648 to 15032385535 s";
    assert_eq!(
        problems(&tree),
        [
            format!("/1: the time is -2147483649 s and 0 ns after 1970; {range}"),
            format!("/2: the time is 15032385536 s and 0 ns after 1970; {range}"),
            format!("/3: the time is 0 s and 1000000000 ns after 1970; {range}"),
            "/4: the owner ID is 4294967295; the limit is 4294967294".to_owned(),
            "/4: the group ID is 4294967295; the limit is 4294967294".to_owned(),
            "/4: extended attributes need 4064 bytes outside the inode; ext4's limit is 4060"
                .to_owned(),
        ]
    );
}

#[test]
fn too_many_or_too_long_names_are_reported() {
    let mut tree = empty_tree();
    let name = [b'n'; 256];
    tree.insert(InodeId::ROOT, &name, file(b"")).unwrap();
    let below = tree.insert(InodeId::ROOT, b"below", directory()).unwrap();
    // More than a block, as in a forged report of a guest.
    for (length, byte) in [(4073, b'a'), (4076, b'b'), (5000, b'c'), (70_000, b'd')] {
        tree.insert(below, &vec![byte; length], file(b"")).unwrap();
    }
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    let linked = tree.insert(top, b"linked", file(b"")).unwrap();
    for number in 1..=65_000 {
        tree.link(top, format!("{number:05}").as_bytes(), linked)
            .unwrap();
    }
    tree.link(InodeId::ROOT, b"top again", top).unwrap();
    tree.insert(InodeId::ROOT, b"lost+found", file(b""))
        .unwrap();
    let name = "n".repeat(256);
    let long = |length: usize, byte: &str| {
        let name = byte.repeat(length);
        format!("/below/{name}: the name has {length} bytes; ext4's limit is 255")
    };
    assert_eq!(
        problems(&tree),
        [
            long(4073, "a"),
            long(4076, "b"),
            long(5000, "c"),
            long(70_000, "d"),
            "/lost+found: not a directory; ext4 reserves this name for fsck".to_owned(),
            format!("/{name}: the name has 256 bytes; ext4's limit is 255"),
            "/top/linked: the file has more than 65000 hard links, which is ext4's limit"
                .to_owned(),
            "/top again: a hard link to a directory".to_owned(),
        ]
    );
}

#[test]
fn a_file_with_65_000_names_fits() {
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    let linked = tree.insert(top, b"linked", file(b"")).unwrap();
    for number in 1..65_000 {
        tree.link(top, format!("{number:05}").as_bytes(), linked)
            .unwrap();
    }
    let directory = crate::common::scratch();
    make(directory.path(), &Arc::new(tree), 64 * MIB);
}

#[test]
fn a_directory_cycle_is_reported_and_not_followed() {
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    tree.link(top, b"root", InodeId::ROOT).unwrap();
    let message = "/top/root: a hard link to a directory";
    assert_eq!(problems(&tree), [message]);
}

#[test]
fn labels_and_times_of_the_file_system_have_limits() {
    let mut options = options();
    options.label = "seventeen bytes..".to_owned();
    options.time.seconds = -1;
    let planned = Ext4
        .count(&Arc::new(empty_tree()), &options)
        .and_then(|counted| counted.plan(GIB));
    let Err(PlanError::Unrepresentable(problems)) = planned else {
        panic!("planned a label of 17 bytes");
    };
    assert_eq!(
        problems,
        [
            "the label \"seventeen bytes..\" has 17 bytes; ext4's limit is 16",
            "the file system's own time is -1 s after 1970; ext4's range is 0 to 15032385535",
        ]
    );
}

#[test]
fn more_than_16_tib_is_rejected() {
    let Err(error) = plan(&Arc::new(empty_tree()), (16 << 40) + 4096) else {
        panic!("planned more than 16 TiB");
    };
    let message = "a file system of 17592186048512 bytes; this ext4 writer's limit is 17592186044416 (16 TiB)";
    assert!(error.to_string().contains(message), "{error}");
}
