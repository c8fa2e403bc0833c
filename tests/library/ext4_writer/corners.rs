//! Corner cases, one test each. `EXT4_FILES` sets the number of files in the tree with a million.
//! `EXT4_LEAVES=257554` makes a directory as large as possible, which takes 2 GB of memory and
//! disk.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use make_disk_image::tree::{Content, DataRange, Device, InodeId, Kind, Source, Timestamp, Tree};

use super::images::*;
use super::kernel::{compare, mount_and_compare};
use crate::common::mount::Mount;
use crate::common::{command, next, run, said, scratch, stdout};

/// Makes the smallest image of `tree` with a little free space, and compares.
fn make_and_compare(tree: Tree) {
    let directory = scratch();
    let tree = Arc::new(tree);
    let length = smallest(&tree, 16 * MIB);
    let image = make(directory.path(), &tree, length);
    mount_and_compare(&image, &tree);
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
fn an_empty_tree() {
    let directory = scratch();
    let tree = Arc::new(empty_tree());
    for length in [8 * MIB, 100 * MIB, 600 * MIB, 3 * GIB] {
        let image = make(directory.path(), &tree, length);
        mount_and_compare(&image, &tree);
    }
}

#[test]
fn a_tree_with_its_own_lost_and_found() {
    let mut tree = empty_tree();
    let own = tree
        .insert(InodeId::ROOT, b"lost+found", directory())
        .unwrap();
    tree.inode_mut(own).metadata.mode = 0o700;
    tree.insert(own, b"#12", file(b"found")).unwrap();
    tree.insert(own, b"directory", directory()).unwrap();
    make_and_compare(tree);
}

#[test]
fn names_of_255_bytes_in_a_hashed_directory() {
    let mut tree = empty_tree();
    for number in 0..2000u32 {
        let mut name = vec![0xff; 255];
        name[..4].copy_from_slice(&number.wrapping_mul(0x0101_0101).to_be_bytes());
        for byte in &mut name {
            if *byte == 0 || *byte == b'/' {
                *byte = b'x';
            }
        }
        name[4..9].copy_from_slice(format!("{number:05}").as_bytes());
        tree.insert(InodeId::ROOT, &name, file(b"x")).unwrap();
    }
    make_and_compare(tree);
}

#[test]
fn names_with_the_same_hash_on_both_sides_of_a_block_boundary() {
    let seed = uuid::Uuid::new_v5(&options().uuid, b"ext4 directory hash seed").into_bytes();
    let seed = mkext4::dirhash::seed_from_uuid(&seed);
    let signed = mkext4::dirhash::Signedness::Signed;
    let name = |number: u32| {
        let mut name = format!("{number:06}").into_bytes();
        name.resize(255, b'x');
        name
    };
    // The hash has 31 bits, so among half a million names some 58 pairs collide. Another
    // implementation computes the hashes.
    let mut by_hash: HashMap<u32, Vec<u32>> = HashMap::new();
    for number in 0..500_000 {
        let (hash, _) = mkext4::dirhash::half_md4(&seed, signed, &name(number));
        by_hash.entry(hash).or_default().push(number);
    }
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    let mut count = 0;
    for number in by_hash.values().filter(|names| names.len() > 1).flatten() {
        tree.insert(top, &name(*number), file(b"x")).unwrap();
        count += 1;
    }
    // 15 names of 255 bytes fill a block, so every second block boundary splits a pair.
    assert!(count > 30, "{count}");
    let directory = scratch();
    let tree = Arc::new(tree);
    let image = make(directory.path(), &tree, 16 * MIB);
    mount_and_compare(&image, &tree);
    let dump = stdout(
        command("debugfs")
            .args(["-R", "htree_dump /top"])
            .arg(&image),
    );
    let continued = dump.lines().any(|line| {
        line.starts_with("Entry #")
            && line.split_once("Hash 0x").is_some_and(|(_, rest)| {
                let hash = rest.split([',', ' ']).next().unwrap();
                u32::from_str_radix(hash, 16).unwrap() % 2 == 1
            })
    });
    assert!(continued, "no block begins within a pair:\n{dump}");
}

#[test]
fn link_targets_of_1_59_60_and_4095_bytes() {
    let mut tree = empty_tree();
    for length in [1, 58, 59, 60, 61, 4094, 4095] {
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
    for length in [0, 1, 2, 3, 4, 67, 68, 69, 1000, 4039, 4040] {
        let mut file = file(b"x");
        file.metadata.xattrs = vec![xattr("user.x", &vec![0x5a; length])].into();
        let name = format!("user-{length}");
        tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
    }
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
    tree.insert(InodeId::ROOT, b"all", all).unwrap();
    make_and_compare(tree);
}

#[test]
fn times_from_1901_to_2446() {
    let directory = scratch();
    let mut tree = empty_tree();
    let limits = [-(1i64 << 31), (1 << 34) - (1 << 31) - 1];
    let doubtful = 11_000_000_000;
    for (number, seconds) in [
        doubtful,
        limits[0],
        -1,
        0,
        1 << 31,
        1 << 32,
        1 << 33,
        limits[1],
    ]
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
    let tree = Arc::new(tree);
    let image = write(directory.path(), plan(&tree, 16 * MIB).unwrap());
    mount_and_compare(&image, &tree);
    // e2fsck warns about times from 2310 to 2378, but finds no error.
    for mut check in [command("e2fsck"), next::program("usr/sbin/e2fsck")] {
        let output = run(check.arg("-fn").arg(&image));
        let text = said(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(text.matches("? no").count(), 1, "{text}");
        let strange = "Timestamp(s) on inode 12 beyond 2310-04-04 are likely pre-1970.";
        assert!(text.contains(strange), "{text}");
    }
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

/// Files of `sizes` bytes. Their first and last bytes are written and read back.
fn long_files(sizes: &[u64], data: impl Fn(u64) -> Option<Vec<DataRange>>) {
    let directory = scratch();
    let mut tree = empty_tree();
    let mut known = Vec::new();
    for &size in sizes {
        let file = inode(long_file(size, data(size)));
        let id = tree
            .insert(InodeId::ROOT, size.to_string().as_bytes(), file)
            .unwrap();
        known.push((id, 0, &b"first"[..]));
        known.push((id, size - 5, b"last."));
    }
    let tree = Arc::new(tree);
    let plan = plan(&tree, smallest(&tree, 16 * MIB)).unwrap();
    check_plan(plan.as_ref());
    let image = write_sparsely(directory.path(), &tree, plan.as_ref(), &known);
    check(&image);
    let mount = Mount::new(&image, "ro");
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
fn files_of_2_gib_less_one_to_16_gib_and_one() {
    let sizes = [(1 << 31) - 1, 1 << 31, 1 << 32, 16 * GIB + 1];
    long_files(&sizes, |_| None);
}

#[test]
fn a_file_of_1_tib() {
    long_files(&[1 << 40], |_| None);
}

#[test]
fn sparse_files_of_1_tib_and_of_16_tib() {
    long_files(&[1 << 40, (16 << 40) - 4096], |size| {
        let range = |offset, length| DataRange { offset, length };
        Some([range(0, 10), range(size - 5, 5)].into())
    });
}

/// A file with `count` blocks of data, in which every second block is a hole.
fn striped(count: u64) -> Content {
    let mut bytes = Vec::new();
    let mut data = Vec::new();
    for number in 0..count {
        let offset = number * 8192;
        data.push(DataRange {
            offset,
            length: 4096,
        });
        bytes.resize(usize::try_from(offset).unwrap(), 0);
        let block = [u8::try_from(number % 251 + 1).unwrap(); 4096];
        bytes.extend_from_slice(&block);
    }
    Content {
        size: bytes.len() as u64,
        source: Source::Bytes(bytes.into()),
        data: Some(data.into()),
    }
}

#[test]
fn extent_trees_of_depth_0_1_and_2() {
    let directory = scratch();
    let mut tree = empty_tree();
    let cases = [
        (4, 0),
        (5, 1),
        (340, 1),
        (341, 1),
        (1360, 1),
        (1361, 2),
        (5000, 2),
    ];
    for (count, _) in cases {
        let name = count.to_string();
        let mut file = inode(Kind::File(striped(count)));
        // Also with an attribute block, which counts among the file's blocks.
        file.metadata.xattrs = vec![xattr("user.x", &[1; 100])].into();
        tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
    }
    let tree = Arc::new(tree);
    let image = make(directory.path(), &tree, smallest(&tree, 0));
    mount_and_compare(&image, &tree);
    for (count, depth) in cases {
        let request = format!("extents /{count}");
        let text = stdout(command("debugfs").args(["-R", &request]).arg(&image));
        let levels = format!(" 0/ {depth} ");
        assert!(text.lines().nth(1).unwrap().starts_with(&levels), "{text}");
    }
}

#[test]
fn extent_trees_of_depth_2_that_is_full_and_of_depth_3() {
    // Four entries in the inode, and 340 in each block.
    const FULL: u64 = 4 * 340 * 340;
    let directory = scratch();
    let mut tree = empty_tree();
    // On both sides of the end of a leaf, of an index block, and of the file.
    let places = [0, 339, 340, 340 * 340 - 1, 340 * 340, FULL - 1];
    let mut known = Vec::new();
    for count in [FULL, FULL + 1] {
        let blocks = (0..count).map(|number| DataRange {
            offset: number * 8192,
            length: 4096,
        });
        let file = inode(long_file(count * 8192 - 4096, Some(blocks.collect())));
        let name = count.to_string();
        let id = tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
        for place in places.into_iter().chain([count - 1]) {
            known.push((id, place * 8192, (place + 1).to_le_bytes()));
        }
    }
    let tree = Arc::new(tree);
    let plan = plan(&tree, smallest(&tree, 0)).unwrap();
    check_plan(plan.as_ref());
    let known: Vec<_> = known
        .iter()
        .map(|(id, at, bytes)| (*id, *at, &bytes[..]))
        .collect();
    let image = write_sparsely(directory.path(), &tree, plan.as_ref(), &known);
    check(&image);
    for (count, depth, nodes) in [(FULL, 2, [4, 1360, 0]), (FULL + 1, 3, [1, 5, 1361])] {
        let request = format!("extents -n /{count}");
        let text = stdout(command("debugfs").args(["-R", &request]).arg(&image));
        // " 0/ 3   1/  1 ...": the level, the depth, and the entry's number in its block.
        for (level, expected) in nodes.into_iter().enumerate() {
            let start = format!("{level:2}/{depth:2} ");
            let found = text.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(found, expected, "{start:?}: {text}");
        }
    }
    let mount = Mount::new(&image, "ro");
    compare(mount.path(), &tree);
    for count in [FULL, FULL + 1] {
        let file = File::open(mount.path().join(count.to_string())).unwrap();
        for place in places.into_iter().chain([count - 1]) {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, place * 8192).unwrap();
            assert_eq!(u64::from_le_bytes(bytes), place + 1, "{count}");
        }
        for place in [0, 339, FULL - 2] {
            let mut bytes = [1; 8];
            file.read_exact_at(&mut bytes, place * 8192 + 4096).unwrap();
            assert_eq!(bytes, [0; 8], "{count}");
        }
    }
    mount.unmount();
}

#[test]
fn a_directory_of_120_000_entries() {
    let directory = scratch();
    let mut tree = empty_tree();
    let top = tree
        .insert(InodeId::ROOT, b"top", super::images::directory())
        .unwrap();
    let target = tree.insert(top, b"0", file(b"x")).unwrap();
    for number in 1..120_000 {
        let name = format!("{number:x}-a name of some length");
        // Hard links as well, but no more than one file can have.
        if number < 60_000 {
            tree.link(top, name.as_bytes(), target).unwrap();
        } else {
            tree.insert(top, name.as_bytes(), file(b"")).unwrap();
        }
    }
    let tree = Arc::new(tree);
    let image = make(directory.path(), &tree, smallest(&tree, 16 * MIB));
    mount_and_compare(&image, &tree);
}

#[test]
fn a_directory_whose_index_is_full() {
    // Two levels of index have room for 257,554 leaves; the second is needed from 507 leaves.
    const MOST: usize = 257_554;
    let leaves: usize = match std::env::var("EXT4_LEAVES") {
        Ok(count) => count.parse().expect("EXT4_LEAVES is a number"),
        Err(_) => 600,
    };
    let scratch = scratch();
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    // A leaf holds 15 names of 255 bytes.
    let entries = 15 * leaves;
    let mut target = InodeId::ROOT;
    for number in 0..entries {
        let name = format!("{number:0>255}");
        if number % 65_000 == 0 {
            target = tree.insert(top, name.as_bytes(), file(b"")).unwrap();
        } else {
            tree.link(top, name.as_bytes(), target).unwrap();
        }
    }
    let mut tree = Arc::new(tree);
    let length = smallest(&tree, 16 * MIB);
    let image = write(scratch.path(), plan(&tree, length).unwrap());
    check(&image);
    let stat = stdout(command("debugfs").args(["-R", "stat /top"]).arg(&image));
    // The root of the index, its other blocks, and the leaves.
    let size = (1 + leaves.div_ceil(509) + leaves) * 4096;
    assert!(stat.contains(&format!("Size: {size}\n")), "{stat}");
    let mount = Mount::new(&image, "ro");
    let directory = mount.path().join("top");
    for number in (0..entries).step_by(entries / 1000) {
        assert!(directory.join(format!("{number:0>255}")).is_file());
    }
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), entries);
    mount.unmount();

    if leaves == MOST {
        let name = format!("{entries:0>255}");
        let more = Arc::get_mut(&mut tree).unwrap();
        more.insert(top, name.as_bytes(), file(b"")).unwrap();
        let Err(error) = plan(&tree, length) else {
            panic!("planned a directory that is too large");
        };
        let message = format!(
            "the file system cannot store the following (1 in total):\n/top: the directory has {} \
             entries; ext4's limit is what fits in {MOST} blocks of 4 KiB",
            entries + 1
        );
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn directories_of_64_998_64_999_and_70_000_subdirectories() {
    let directory = scratch();
    let mut tree = empty_tree();
    let cases = [(64_998, 65_000), (64_999, 1), (70_000, 1)];
    for (count, _) in cases {
        let name = format!("{count}");
        let top = tree
            .insert(InodeId::ROOT, name.as_bytes(), super::images::directory())
            .unwrap();
        for number in 0..count {
            let name = format!("{number}");
            tree.insert(top, name.as_bytes(), super::images::directory())
                .unwrap();
        }
    }
    let tree = Arc::new(tree);
    let image = make(directory.path(), &tree, smallest(&tree, 16 * MIB));
    let mount = Mount::new(&image, "ro");
    for (count, links) in cases {
        let top = mount.path().join(count.to_string());
        assert_eq!(std::fs::read_dir(&top).unwrap().count(), count);
        let stat = std::fs::symlink_metadata(&top).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&stat), links);
        assert!(top.join((count - 1).to_string()).is_dir());
    }
    mount.unmount();
}

#[test]
fn a_million_files() {
    let count: usize = match std::env::var("EXT4_FILES") {
        Ok(count) => count.parse().expect("EXT4_FILES is a number"),
        Err(_) => 1_000_000,
    };
    let scratch = scratch();
    let mut tree = empty_tree();
    let content: Arc<[u8]> = Arc::from(&b"one block"[..]);
    let mut parent = InodeId::ROOT;
    for number in 0..count {
        if number % 1000 == 0 {
            let name = format!("{number:07}");
            parent = tree
                .insert(InodeId::ROOT, name.as_bytes(), directory())
                .unwrap();
        }
        // One in ten has data, since a million blocks would be 4 GB.
        let file = inode(Kind::File(Content {
            size: if number % 10 == 0 { 9 } else { 0 },
            source: Source::Bytes(Arc::clone(&content)),
            data: None,
        }));
        let name = format!("file-{number:07}");
        tree.insert(parent, name.as_bytes(), file).unwrap();
    }
    let tree = Arc::new(tree);
    let length = smallest(&tree, 64 * MIB);
    let image = write(scratch.path(), plan(&tree, length).unwrap());
    check(&image);
    let header = stdout(command("dumpe2fs").arg("-h").arg(&image));
    let field = |name: &str| -> usize {
        let line = header.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    };
    let used = field("Inode count:") - field("Free inodes:");
    assert_eq!(used, 11 + count + count.div_ceil(1000));
    let mount = Mount::new(&image, "ro");
    let last = format!("{:07}/file-{:07}", (count - 1) / 1000 * 1000, count - 1);
    assert!(mount.path().join(last).is_file());
    mount.unmount();
}
