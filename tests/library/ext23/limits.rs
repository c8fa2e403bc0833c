//! What exceeds a type's limits is an error with the path and the limit, before anything is written.

use std::sync::Arc;

use make_disk_image::fs::{Ext2, Ext3, Format, PlanError};
use make_disk_image::tree::{Content, InodeId, Kind, Source, Timestamp, Tree};

use super::images::*;

/// The error of counting `tree`.
fn problems(format: &dyn Format, tree: &Tree) -> Vec<String> {
    match format.count(&Arc::new(tree.clone()), &options()) {
        Err(PlanError::Unrepresentable(problems)) => problems,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("counted what the type can't hold"),
    }
}

#[test]
fn ext2_has_32_bits_of_seconds_and_ext3_has_34() {
    let mut tree = empty_tree();
    for (name, seconds) in [("1", -(1i64 << 31) - 1), ("2", 1 << 31), ("3", 1 << 34)] {
        let mut file = file(b"");
        file.metadata.mtime = Timestamp::from_seconds(seconds);
        tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
    }
    let line = |name, time: i64, kind, last: u64| {
        format!(
            "/{name}: the time is {time} s and 0 ns after 1970; {kind}'s range is -2147483648 to {last} s"
        )
    };
    let (ext2, ext3) = (2_147_483_647, 15_032_385_535);
    assert_eq!(
        problems(&Ext2, &tree),
        [
            line("1", -2_147_483_649, "ext2", ext2),
            line("2", 2_147_483_648, "ext2", ext2),
            line("3", 17_179_869_184, "ext2", ext2),
        ]
    );
    assert_eq!(
        problems(&Ext3, &tree),
        [
            line("1", -2_147_483_649, "ext3", ext3),
            line("3", 17_179_869_184, "ext3", ext3),
        ]
    );
}

#[test]
fn more_than_32_000_links_are_reported() {
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    for number in 0..32_001 {
        tree.insert(top, format!("{number:05}").as_bytes(), directory())
            .unwrap();
    }
    let other = tree.insert(InodeId::ROOT, b"z", directory()).unwrap();
    let linked = tree.insert(other, b"linked", file(b"")).unwrap();
    for number in 1..=32_001 {
        tree.link(other, format!("{number:05}").as_bytes(), linked)
            .unwrap();
    }
    for (kind, format) in TYPES {
        assert_eq!(
            problems(format, &tree),
            [
                format!(
                    "/top/31998: its directory has more than 31998 subdirectories, which is {kind}'s limit"
                ),
                format!(
                    "/z/32001: the file has more than 32000 hard links, which is {kind}'s limit"
                ),
            ]
        );
    }
}

#[test]
fn long_files_and_many_attributes_are_reported() {
    let mut tree = empty_tree();
    let mut long = inode(Kind::File(Content {
        size: 2_196_873_666_561,
        source: Source::Bytes(Arc::from(&b""[..])),
        data: Some(Box::default()),
    }));
    long.metadata.xattrs = vec![xattr("user.x", &[0; 4041])].into();
    tree.insert(InodeId::ROOT, b"long", long).unwrap();
    for (kind, format) in TYPES {
        assert_eq!(
            problems(format, &tree),
            [
                format!(
                    "/long: extended attributes need 4064 bytes outside the inode; {kind}'s limit is 4060"
                ),
                format!("/long: the file has 2196873666561 bytes; {kind}'s limit is 2196873666560"),
            ]
        );
    }
}

#[test]
fn as_many_blocks_as_there_are_numbers() {
    let tree = Arc::new(empty_tree());
    for (kind, format) in TYPES {
        let counted = count(format, &tree);
        counted.plan((1 << 44) - 4096).unwrap();
        let Err(PlanError::Unrepresentable(problems)) = counted.plan(1 << 44) else {
            panic!("planned 16 TiB");
        };
        assert_eq!(
            problems,
            [format!(
                "a file system of 17592186044416 bytes; this {kind} writer's limit is 17592186040320"
            )]
        );
    }
}
