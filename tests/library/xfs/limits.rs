//! What exceeds XFS's limits is an error with the path and the limit, before anything is written.

use std::sync::Arc;

use make_disk_image::fs::{Format, PlanError, Xfs};
use make_disk_image::tree::{Content, DataRange, Device, InodeId, Kind, Source, Timestamp, Tree};

use super::images::*;

/// The error of counting `tree`.
fn problems(tree: &Tree) -> Vec<String> {
    let tree = Arc::new(tree.clone());
    let Err(PlanError::Unrepresentable(problems)) = plan(&tree, GIB) else {
        panic!("planned what XFS can't hold");
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
fn inode_limits_are_reported_with_the_path() {
    let device = |major, minor| Kind::CharacterDevice(Device { major, minor });
    for (kind, message) in [
        (
            Kind::Symlink(vec![b'x'; 1024].into()),
            "the link target has 1024 bytes; XFS's limit is 1023",
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
            content(1 << 63, &[]),
            "the file has 9223372036854775808 bytes; XFS's limit is 9223372036854775807",
        ),
        (
            content(10, &[(8, 3)]),
            "invalid data range of 3 bytes at 8: the previous one ends at 0, the file at 10",
        ),
        (
            content(10, &[(u64::MAX, 2)]),
            "invalid data range of 2 bytes at 18446744073709551615: the previous one ends at 0, the file at 10",
        ),
        (
            device(512, 0),
            "the device number is 512:0; XFS's limit is 511:262143",
        ),
        (
            device(0, 1 << 18),
            "the device number is 0:262144; XFS's limit is 511:262143",
        ),
    ] {
        let mut tree = empty_tree();
        let parent = tree.insert(InodeId::ROOT, b"a", directory()).unwrap();
        tree.insert(parent, b"b\n", inode(kind)).unwrap();
        assert_eq!(problems(&tree), [format!("/a/b\\n: {message}")]);
    }
}

#[test]
fn metadata_limits_are_reported_with_the_path() {
    let mut tree = empty_tree();
    for (name, seconds, nanoseconds) in [
        (&b"1"[..], -(1i64 << 31) - 1, 0),
        (b"2", 18_446_744_073 - (1 << 31), 0),
        (b"3", 0, 1_000_000_000),
    ] {
        let mut file = file(b"");
        file.metadata.mtime = Timestamp {
            seconds,
            nanoseconds,
        };
        tree.insert(InodeId::ROOT, name, file).unwrap();
    }
    let mut owned = file(b"");
    (owned.metadata.uid, owned.metadata.gid) = (u32::MAX, u32::MAX);
    owned.metadata.xattrs = vec![xattr("user.x", &[0; 65_537])].into();
    tree.insert(InodeId::ROOT, b"4", owned).unwrap();
    tree.insert(InodeId::ROOT, &[b'n'; 256], file(b"")).unwrap();
    let range = "XFS's range is -2147483648 to 16299260424 s";
    assert_eq!(
        problems(&tree),
        [
            format!("/1: the time is -2147483649 s and 0 ns after 1970; {range}"),
            format!("/2: the time is 16299260425 s and 0 ns after 1970; {range}"),
            format!("/3: the time is 0 s and 1000000000 ns after 1970; {range}"),
            "/4: the owner ID is 4294967295; the limit is 4294967294".to_owned(),
            "/4: the group ID is 4294967295; the limit is 4294967294".to_owned(),
            "/4: the attribute user.x has 65537 bytes; XFS's limit is 65536".to_owned(),
            format!(
                "/{}: the name has 256 bytes; XFS's limit is 255",
                "n".repeat(256)
            ),
        ]
    );
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
fn labels_and_lengths_have_limits() {
    let tree = Arc::new(empty_tree());
    let mut options = options();
    options.label = "thirteen byte".to_owned();
    options.time.seconds = -(1 << 40);
    let Err(PlanError::Unrepresentable(problems)) = Xfs.count(&tree, &options).map(|_| ()) else {
        panic!("counted a label of 13 bytes");
    };
    assert_eq!(
        problems,
        [
            "the label \"thirteen byte\" has 13 bytes; XFS's limit is 12",
            "the file system's own time is -1099511627776 s after 1970; XFS's range is -2147483648 to 16299260424",
        ]
    );
    let Err(error) = plan(&tree, (1 << 50) + 4096) else {
        panic!("planned more than 1 PiB");
    };
    let message = "a file system of 1125899906846720 bytes; this XFS writer's limit is 1125899906842624 (1 PiB)";
    assert!(error.to_string().contains(message), "{error}");
    let Err(error) = plan(&tree, 300 * MIB - 1) else {
        panic!("planned less than 300 MiB");
    };
    let message = "314572800 bytes and 3 inodes are needed, but only 314572799 bytes are available";
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_tree_that_no_file_system_holds_is_rejected() {
    let mut tree = empty_tree();
    for name in [b"a", b"b", b"c"] {
        let long = content((1 << 63) - 1, &[(0, (1 << 63) - 1)]);
        tree.insert(InodeId::ROOT, name, inode(long)).unwrap();
    }
    let counted = count(&Arc::new(tree));
    let Err(PlanError::Unrepresentable(problems)) = counted.smallest(u64::MAX) else {
        panic!("found a size for 24 EiB");
    };
    assert!(
        problems[0].contains("limit is 274877906944 blocks (1 PiB)"),
        "{problems:?}"
    );
}
