//! Corner cases, one test each. `BTRFS_FILES` sets the number of files in the tree with many (6000).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use make_disk_image::fs::{Btrfs, Format};
use make_disk_image::tree::{
    Content, DataRange, Device, Flags, InodeId, Kind, Source, Timestamp, Tree,
};

use super::images::*;
use super::kernel::{compare, mount_and_compare};
use crate::common::{command, scratch, stdout};

/// Makes the smallest image of `tree` with a little free space, and compares.
fn make_and_compare(tree: Tree) {
    let directory = scratch();
    let tree = Arc::new(tree);
    let image = make_smallest(&writer(), directory.path(), &tree, MIB);
    mount_and_compare(&image, &tree);
}

#[test]
fn an_empty_tree() {
    let directory = scratch();
    let tree = Arc::new(empty_tree());
    for length in [smallest(&tree, 0), 100 * MIB, GIB, 15 << 40] {
        let image = make(directory.path(), &tree, length);
        mount_and_compare(&image, &tree);
    }
}

#[test]
fn lengths_that_are_no_whole_sectors() {
    let directory = scratch();
    let tree = Arc::new(empty_tree());
    for odd in [1, 4095, 4097, 65_535] {
        let image = make(directory.path(), &tree, 100 * MIB + odd);
        mount_and_compare(&image, &tree);
    }
}

#[test]
fn link_targets_of_1_to_4095_bytes() {
    let mut tree = empty_tree();
    for length in [1, 2, 2048, 2049, 4094, 4095] {
        let target = vec![0xe9; length];
        let name = format!("{length}");
        let symlink = inode(Kind::Symlink(target.into()));
        tree.insert(InodeId::ROOT, name.as_bytes(), symlink)
            .unwrap();
    }
    make_and_compare(tree);
}

#[test]
fn attributes_of_one_byte_to_the_limit() {
    let mut tree = empty_tree();
    for length in [0, 1, 1000, 16_221, 16_222] {
        let mut file = file(b"x");
        file.metadata.xattrs = vec![xattr("user.x", &vec![0x5a; length])].into();
        let name = format!("user-{length}");
        tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
    }
    let mut many = file(b"x");
    let names: Vec<_> = (0..100)
        .map(|number| xattr(&format!("user.{number:03}"), &[1; 300]))
        .collect();
    many.metadata.xattrs = names.into();
    tree.insert(InodeId::ROOT, b"many", many).unwrap();
    let mut all = directory();
    let acl = |entries: &[(u16, u16, u32)]| {
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&permissions.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    };
    let none = u32::MAX;
    let access = [
        (0x01, 7, none),
        (0x02, 5, 1000),
        (0x02, 7, 70_000),
        (0x04, 5, none),
        (0x08, 4, 100),
        (0x10, 5, none),
        (0x20, 5, none),
    ];
    // VFS_CAP_REVISION_2, effective: cap_net_bind_service permitted.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    all.metadata.xattrs = vec![
        xattr("security.capability", &capability),
        xattr("security.selinux", b"system_u:object_r:bin_t:s0\0"),
        xattr("system.posix_acl_access", &acl(&access)),
        xattr("system.posix_acl_default", &acl(&access)),
        xattr("trusted.overlay.opaque", b"y"),
        xattr("user.mime_type", b"text/plain"),
    ]
    .into();
    tree.insert(InodeId::ROOT, b"all", all.clone()).unwrap();
    tree.inode_mut(InodeId::ROOT).metadata = all.metadata;
    make_and_compare(tree);
}

#[test]
fn times_of_64_bits() {
    let mut tree = empty_tree();
    for (number, seconds) in [i64::MIN, -(1 << 40), -1, 0, 1 << 31, 1 << 34, i64::MAX]
        .into_iter()
        .enumerate()
    {
        let mut file = file(b"x");
        file.metadata.mtime = Timestamp {
            seconds,
            nanoseconds: 999_999_999,
        };
        let name = [b'a' + u8::try_from(number).unwrap()];
        tree.insert(InodeId::ROOT, &name, file).unwrap();
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
            let name = format!("{name}{number}");
            tree.insert(InodeId::ROOT, name.as_bytes(), inode(kind))
                .unwrap();
        }
    }
    for (name, kind) in [("fifo", Kind::Fifo), ("socket", Kind::Socket)] {
        tree.insert(InodeId::ROOT, name.as_bytes(), inode(kind))
            .unwrap();
    }
    for mode in 0..0o10000 {
        let mut file = file(b"");
        file.metadata.mode = mode;
        file.metadata.uid = u32::MAX - 1 - u32::from(mode);
        file.metadata.gid = u32::MAX - 1;
        let name = format!("{mode:o}");
        tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
    }
    make_and_compare(tree);
}

#[test]
fn flags_that_btrfs_has() {
    let directory = scratch();
    let mut tree = empty_tree();
    for (name, bits) in [
        ("sync", 0x8),
        ("immutable", 0x10),
        ("append", 0x20),
        ("nodump", 0x40),
        ("noatime", 0x80),
        ("journal", 0x4000),
        ("all", 0x3_40f8),
    ] {
        let mut file = file(b"x");
        file.metadata.flags = Flags::of_file(bits);
        tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
    }
    let mut top = super::images::directory();
    top.metadata.flags = Flags::of_directory(0x1_0000);
    tree.insert(InodeId::ROOT, b"dirsync", top).unwrap();
    let tree = Arc::new(tree);
    let image = make_smallest(&writer(), directory.path(), &tree, MIB);
    let mount = mount(&image, "rw");
    let listed = stdout(command("lsattr").arg("-l").arg(mount.path()));
    let mut lines: Vec<_> = listed
        .lines()
        .map(|line| line.rsplit_once('/').unwrap().1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "all Synchronous_Updates, Immutable, Append_Only, No_Dump, No_Atime",
            "append Append_Only",
            "dirsync Synchronous_Directory_Updates",
            "immutable Immutable",
            "journal ---",
            "noatime No_Atime",
            "nodump No_Dump",
            "sync Synchronous_Updates",
        ]
    );
    mount.unmount();
}

/// A file of `size` bytes that is never read.
fn long_file(size: u64, data: Option<Vec<DataRange>>) -> Kind {
    Kind::File(Content {
        size,
        source: Source::Bytes(Arc::from(&b""[..])),
        data: data.map(Box::new),
    })
}

#[test]
fn files_of_2_gib_less_one_to_1_tib() {
    let directory = scratch();
    let mut tree = empty_tree();
    let mut known = Vec::new();
    let sizes = [(1 << 31) - 1, 1 << 31, 1 << 32, 16 * GIB + 1, 1 << 40];
    for size in sizes {
        let file = inode(long_file(size, None));
        let name = size.to_string();
        let id = tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
        known.push((id, 0, &b"first"[..]));
        known.push((id, size - 5, b"last."));
    }
    let tree = Arc::new(tree);
    let writer = Btrfs {
        checksums: false,
        ..writer()
    };
    let counted = writer.count(&tree, &options()).unwrap();
    let plan = counted.plan(counted.smallest(16 * MIB).unwrap()).unwrap();
    check_plan(plan.as_ref());
    let image = write_sparsely(directory.path(), &tree, plan.as_ref(), &known);
    check_metadata(&image);
    let mount = mount(&image, "ro");
    compare(mount.path(), &tree);
    for size in sizes {
        let file = File::open(mount.path().join(size.to_string())).unwrap();
        let mut bytes = [0; 10];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"first\0\0\0\0\0");
        file.read_exact_at(&mut bytes, size - 10).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0\0last.");
    }
    mount.unmount();
}

#[test]
fn files_with_holes() {
    let mut tree = empty_tree();
    for (number, (size, ranges)) in [
        (0, &[][..]),
        (1, &[]),
        (4096, &[]),
        (1 << 50, &[]),
        (100, &[(50, 10)]),
        (2048, &[(0, 1), (2047, 1)]),
        (5000, &[(4999, 1)]),
        (
            1_000_000,
            &[(0, 1), (8192, 1), (20_000, 10_000), (999_999, 1)],
        ),
        (1_000_000, &[(4095, 2), (8191, 2)]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut bytes = Vec::new();
        if let Some((offset, length)) = ranges.last() {
            bytes.resize(usize::try_from(offset + length).unwrap(), 0);
        }
        for (offset, length) in ranges {
            let from = usize::try_from(*offset).unwrap();
            bytes[from..from + usize::try_from(*length).unwrap()].fill(0xa5);
        }
        if size < 1 << 30 {
            bytes.resize(usize::try_from(size).unwrap(), 0);
        }
        let ranges = ranges
            .iter()
            .map(|&(offset, length)| DataRange { offset, length });
        let content = Content {
            size,
            source: Source::Bytes(bytes.into()),
            data: Some(Box::new(ranges.collect())),
        };
        let name = number.to_string();
        tree.insert(InodeId::ROOT, name.as_bytes(), inode(Kind::File(content)))
            .unwrap();
    }
    make_and_compare(tree);
}

#[test]
fn a_file_with_many_extents() {
    let mut bytes = Vec::new();
    let mut data = Vec::new();
    for number in 0..5000 {
        let offset = number * 8192;
        data.push(DataRange {
            offset,
            length: 4096,
        });
        bytes.resize(usize::try_from(offset).unwrap(), 0);
        let block = [u8::try_from(number % 251 + 1).unwrap(); 4096];
        bytes.extend_from_slice(&block);
    }
    let mut tree = empty_tree();
    let content = Content {
        size: bytes.len() as u64,
        source: Source::Bytes(bytes.into()),
        data: Some(data.into()),
    };
    tree.insert(InodeId::ROOT, b"striped", inode(Kind::File(content)))
        .unwrap();
    make_and_compare(tree);
}

#[test]
fn data_around_the_superblocks() {
    // The second one is at 64 MiB, 47 MiB behind the beginning of the data.
    for before in [47 * MIB - 4096, 47 * MIB] {
        let mut tree = empty_tree();
        for (name, length) in [("a", before), ("b", MIB), ("c", 4096)] {
            let bytes = name.repeat(usize::try_from(length).unwrap());
            tree.insert(InodeId::ROOT, name.as_bytes(), file(bytes.as_bytes()))
                .unwrap();
        }
        make_and_compare(tree);
    }
}

#[test]
fn many_files_and_hard_links_in_one_directory() {
    let count = std::env::var("BTRFS_FILES").map_or(6000, |count| count.parse().unwrap());
    let directory = scratch();
    let mut tree = empty_tree();
    let top = tree
        .insert(InodeId::ROOT, b"top", super::images::directory())
        .unwrap();
    let target = tree.insert(top, b"0", file(b"x")).unwrap();
    for number in 1..count {
        let name = format!("{number:x}-a name of some length");
        if number % 2 == 0 && number < 50_000 {
            tree.link(top, name.as_bytes(), target).unwrap();
        } else {
            tree.insert(top, name.as_bytes(), file(name.as_bytes()))
                .unwrap();
        }
    }
    let tree = Arc::new(tree);
    let image = make_smallest(&writer(), directory.path(), &tree, 0);
    mount_and_compare(&image, &tree);
}
