//! Corner cases, one test each. `EROFS_FILES` sets the number of files in the tree with many
//! (100,000).

use std::sync::Arc;

use make_disk_image::tree::{Content, Device, InodeId, Kind, Source, Timestamp, Tree};

use super::images::*;
use super::kernel::{mount, mount_and_compare};
use crate::common::scratch;

/// Makes images of `tree` with each compression, and compares.
fn make_and_compare(tree: Tree) {
    let directory = scratch();
    let tree = Arc::new(tree);
    for compression in [None, ALL[1]] {
        let image = make(directory.path(), &tree, compression);
        mount_and_compare(&image, &tree);
    }
}

#[test]
fn an_empty_tree() {
    make_and_compare(empty_tree());
}

#[test]
fn names_of_255_bytes_and_of_any_bytes() {
    let mut tree = empty_tree();
    for byte in (1..=255).filter(|byte| *byte != b'/') {
        for length in [1, 2, 100, 255] {
            if matches!((byte, length), (b'.', 1 | 2)) {
                continue;
            }
            let mut name = vec![b'x'; length];
            name[0] = byte;
            name[length - 1] = byte;
            tree.insert(InodeId::ROOT, &name, file(b"x")).unwrap();
        }
    }
    make_and_compare(tree);
}

#[test]
fn directories_of_every_length_around_one_and_two_blocks() {
    let mut tree = empty_tree();
    let one = add(&mut tree, "one", file(b""));
    // "." and ".." take 27 bytes, a name 12 more than its length.
    for last in 1..=255 {
        let id = add(&mut tree, &format!("{last}"), directory());
        for number in 0..14 {
            tree.link(id, format!("{number:0>255}").as_bytes(), one)
                .unwrap();
        }
        tree.link(id, format!("{:a>last$}", "a").as_bytes(), one)
            .unwrap();
        for number in 0..(last % 3) * 7 {
            tree.link(id, format!("b{number:0>254}").as_bytes(), one)
                .unwrap();
        }
    }
    make_and_compare(tree);
}

#[test]
fn link_targets_of_1_to_4095_bytes() {
    let mut tree = empty_tree();
    for length in [
        1, 31, 32, 33, 59, 60, 1000, 4031, 4032, 4033, 4063, 4064, 4065, 4094, 4095,
    ] {
        for (name, seconds) in [("compact", 1), ("extended", 2)] {
            let mut symlink = inode(Kind::Symlink(vec![0xe9; length].into()));
            symlink.metadata.mtime = Timestamp::from_seconds(seconds);
            add(&mut tree, &format!("{name}-{length}"), symlink);
        }
    }
    make_and_compare(tree);
}

#[test]
fn files_of_every_length_around_blocks() {
    let mut tree = empty_tree();
    let lengths = (0..70)
        .chain(3980..4200)
        .chain(8160..8230)
        .chain(12_280..12_295);
    for (number, length) in (0..).zip(lengths) {
        let mut file = file(&text(number, length));
        file.metadata.mtime = Timestamp::from_seconds(i64::try_from(number % 2).unwrap());
        if number % 3 == 0 {
            file.metadata.xattrs = vec![xattr("user.x", &vec![1; length % 50])].into();
        }
        add(&mut tree, &format!("{length}"), file);
    }
    make_and_compare(tree);
}

/// The value of an ACL attribute.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    value
}

#[test]
fn attributes_shared_and_not_from_none_to_the_limit() {
    let mut tree = empty_tree();
    for length in [0, 1, 2, 3, 4, 1000, 4000, 4060, 4061, 4096, 10_000, 65_535] {
        let mut file = file(b"x");
        file.metadata.xattrs = vec![xattr("user.x", &vec![0x5a; length])].into();
        add(&mut tree, &format!("user-{length}"), file);
        for number in 0..3 {
            let mut directory = directory();
            let name = format!("trusted.{}", "n".repeat(length % 249 + 1));
            directory.metadata.xattrs = vec![
                xattr(&name, &vec![7; length]),
                xattr("user.own", format!("{number}").as_bytes()),
            ]
            .into();
            add(&mut tree, &format!("shared-{length}-{number}"), directory);
        }
    }
    let none = u32::MAX;
    let access = acl(&[
        (0x01, 7, none),
        (0x02, 5, 1000),
        (0x02, 7, 70_000),
        (0x04, 5, none),
        (0x08, 4, 100),
        (0x10, 5, none),
        (0x20, 5, none),
    ]);
    // VFS_CAP_REVISION_2, effective: cap_net_bind_service permitted.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for number in 0..4 {
        let mut all = directory();
        all.metadata.xattrs = vec![
            xattr("security.capability", &capability),
            xattr("security.selinux", b"system_u:object_r:bin_t:s0\0"),
            xattr("system.posix_acl_access", &access),
            xattr("system.posix_acl_default", &access),
            xattr("trusted.overlay.opaque", b"y"),
            xattr("user.mime_type", b"text/plain"),
        ]
        .into();
        add(&mut tree, &format!("all-{number}"), all);
    }
    // More than can be shared.
    for number in 0..3 {
        let mut many = file(b"x");
        let xattrs = (0..300).map(|number| xattr(&format!("user.{number:03}"), b"value"));
        many.metadata.xattrs = xattrs.collect::<Vec<_>>().into();
        add(&mut tree, &format!("many-{number}"), many);
    }
    make_and_compare(tree);
}

#[test]
fn times_of_any_year() {
    let mut tree = empty_tree();
    let seconds = [
        i64::from(i32::MIN),
        -1,
        0,
        1,
        2,
        1 << 32,
        1 << 40,
        -(1 << 40),
    ];
    for (number, seconds) in seconds.into_iter().enumerate() {
        for nanoseconds in [0, 1, 999_999_999] {
            let mut file = file(b"x");
            file.metadata.mtime = Timestamp {
                seconds,
                nanoseconds,
            };
            add(&mut tree, &format!("{number}-{nanoseconds}"), file);
        }
    }
    make_and_compare(tree);
}

#[test]
fn devices_owners_and_modes_to_their_limits() {
    let mut tree = empty_tree();
    for (number, (major, minor)) in [(0, 0), (255, 255), (256, 0), (0, 256), (4095, 1_048_575)]
        .into_iter()
        .enumerate()
    {
        let device = Device { major, minor };
        for (name, kind) in [
            ("c", Kind::CharacterDevice(device)),
            ("b", Kind::BlockDevice(device)),
        ] {
            add(&mut tree, &format!("{name}{number}"), inode(kind));
        }
    }
    add(&mut tree, "fifo", inode(Kind::Fifo));
    add(&mut tree, "socket", inode(Kind::Socket));
    for mode in (0..0o10000).step_by(5) {
        let mut file = file(b"");
        file.metadata.mode = mode;
        (file.metadata.uid, file.metadata.gid) = match mode % 4 {
            0 => (u32::MAX - 1 - u32::from(mode), 0),
            1 => (0, u32::MAX - 1),
            2 => (65_535, 65_535),
            _ => (65_536, 65_535),
        };
        add(&mut tree, &format!("{mode:o}"), file);
    }
    make_and_compare(tree);
}

#[test]
fn a_directory_of_70_000_subdirectories_and_a_file_of_200_000_names() {
    let directory = scratch();
    let mut tree = empty_tree();
    let links = add(&mut tree, "links", super::images::directory());
    let one = tree.insert(links, b"first", file(b"linked")).unwrap();
    for number in 1..200_000 {
        let name = format!("{number:x}-a name of some length");
        tree.link(links, name.as_bytes(), one).unwrap();
    }
    let directories = add(&mut tree, "directories", super::images::directory());
    for number in 0..70_000 {
        let name = format!("{number}");
        tree.insert(directories, name.as_bytes(), super::images::directory())
            .unwrap();
    }
    let tree = Arc::new(tree);
    let image = write(
        directory.path(),
        plan(directory.path(), &tree, None).unwrap(),
    );
    let mount = mount(&image);
    let stat = |name: &str| std::fs::symlink_metadata(mount.path().join(name)).unwrap();
    let links = |name: &str| std::os::unix::fs::MetadataExt::nlink(&stat(name));
    assert_eq!(links("directories"), 70_002);
    assert_eq!(links("links/first"), 200_000);
    assert_eq!(links("links/1869f-a name of some length"), 200_000);
    for (name, count) in [("directories", 70_000), ("links", 200_000)] {
        let found = std::fs::read_dir(mount.path().join(name)).unwrap();
        assert_eq!(found.count(), count);
    }
    mount.unmount();
}

#[test]
fn many_files() {
    let count: usize = match std::env::var("EROFS_FILES") {
        Ok(count) => count.parse().expect("EROFS_FILES is a number"),
        Err(_) => 100_000,
    };
    let scratch = scratch();
    let mut tree = empty_tree();
    let content: Arc<[u8]> = Arc::from(&b"a short file"[..]);
    let mut parent = InodeId::ROOT;
    for number in 0..count {
        if number % 1000 == 0 {
            parent = add(&mut tree, &format!("{number:07}"), directory());
        }
        let file = inode(Kind::File(Content {
            size: (number % 13) as u64,
            source: Source::Bytes(Arc::clone(&content)[..number % 13].into()),
            data: None,
        }));
        let name = format!("file-{number:07}");
        tree.insert(parent, name.as_bytes(), file).unwrap();
    }
    let tree = Arc::new(tree);
    let plan = plan(scratch.path(), &tree, None).unwrap();
    let image = write(scratch.path(), plan);
    check(&image);
    let mount = mount(&image);
    let last = format!("{:07}/file-{:07}", (count - 1) / 1000 * 1000, count - 1);
    let bytes = std::fs::read(mount.path().join(last)).unwrap();
    assert_eq!(bytes, content[..(count - 1) % 13]);
    mount.unmount();
}
