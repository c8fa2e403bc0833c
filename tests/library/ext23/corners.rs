//! Corner cases of block maps, directories, attributes and times.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use make_disk_image::tree::{Content, DataRange, InodeId, Kind, Source, Timestamp};
use sha2::{Digest, Sha256};

use super::images::*;
use crate::common::{command, next, scratch, stdout};
use crate::ext4_writer::kernel::compare;

/// Blocks in the inode; with the first indirect block; with the double indirect block.
const DIRECT: u64 = 12;
const SINGLE: u64 = DIRECT + 1024;
const DOUBLE: u64 = SINGLE + 1024 * 1024;

#[test]
fn names_targets_attributes_and_hashed_directories() {
    let mut tree = empty_tree();
    let many = tree.insert(InodeId::ROOT, b"many", directory()).unwrap();
    for number in 0..12_000u32 {
        // Two levels of index.
        let name = format!("{number:0>230}");
        tree.insert(many, name.as_bytes(), file(b"")).unwrap();
    }
    for length in [1, 59, 60, 4095] {
        let target = inode(Kind::Symlink(vec![0xe9; length].into()));
        let name = format!("link-{length}");
        tree.insert(InodeId::ROOT, name.as_bytes(), target).unwrap();
    }
    for length in [0, 1, 68, 69, 1000, 4040] {
        let mut file = file(b"x");
        file.metadata.xattrs = vec![xattr("user.x", &vec![0x5a; length])].into();
        let name = format!("user-{length}");
        tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
    }
    // user::rwx, user:1000:r-x, group::r-x, mask::r-x, other::r-x
    let acl = [
        &[2, 0, 0, 0][..],
        &[1, 0, 7, 0, 255, 255, 255, 255],
        &[2, 0, 5, 0, 0xe8, 3, 0, 0],
        &[4, 0, 5, 0, 255, 255, 255, 255],
        &[16, 0, 5, 0, 255, 255, 255, 255],
        &[32, 0, 5, 0, 255, 255, 255, 255],
    ]
    .concat();
    let mut all = directory();
    all.metadata.xattrs = vec![
        xattr("security.selinux", b"system_u:object_r:bin_t:s0\0"),
        xattr("system.posix_acl_access", &acl),
        xattr("system.posix_acl_default", &acl),
        xattr("trusted.overlay.opaque", b"y"),
        xattr("user.mime_type", b"text/plain"),
    ]
    .into();
    tree.insert(InodeId::ROOT, b"all", all).unwrap();
    for (name, seconds) in [(&b"early"[..], -(1 << 31)), (b"late", (1 << 31) - 1)] {
        let mut file = file(b"x");
        file.metadata.mtime = Timestamp {
            seconds,
            nanoseconds: 999_999_999,
        };
        tree.insert(InodeId::ROOT, name, file).unwrap();
    }
    let own = tree
        .insert(InodeId::ROOT, b"lost+found", directory())
        .unwrap();
    tree.insert(own, b"#12", file(b"found")).unwrap();
    let name = [0xff; 255];
    tree.insert(InodeId::ROOT, &name, file(b"long name"))
        .unwrap();
    make_and_compare(tree, 16 * MIB);
}

#[test]
fn files_at_the_ends_of_all_levels_of_the_map() {
    let mut bytes = Vec::new();
    for number in 0..6_000u32 {
        bytes.extend_from_slice(&[u8::try_from(number % 251).unwrap(); 1024]);
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let bytes: Arc<[u8]> = bytes.into();
    let mut tree = empty_tree();
    for size in [
        1,
        DIRECT * 4096,
        DIRECT * 4096 + 1,
        SINGLE * 4096,
        SINGLE * 4096 + 1,
        6_000_000,
    ] {
        let content = Content {
            size,
            source: Source::Bytes(Arc::from(&bytes[..usize::try_from(size).unwrap()])),
            data: None,
        };
        let mut file = inode(Kind::File(content));
        file.metadata.xattrs = vec![xattr("user.x", &[1; 100])].into();
        tree.insert(InodeId::ROOT, size.to_string().as_bytes(), file)
            .unwrap();
    }
    make_and_compare(tree, 0);
}

/// Files that are never read, except for a few bytes.
fn long_files(files: &[(u64, Option<Vec<DataRange>>)]) {
    for (kind, format) in TYPES {
        let directory = scratch();
        let mut tree = empty_tree();
        let mut known = Vec::new();
        for (size, data) in files {
            let content = Kind::File(Content {
                size: *size,
                source: Source::Bytes(Arc::from(&b""[..])),
                data: data.clone().map(Box::new),
            });
            let id = tree
                .insert(InodeId::ROOT, size.to_string().as_bytes(), inode(content))
                .unwrap();
            let ranges = data.clone().unwrap_or(vec![DataRange {
                offset: 0,
                length: *size,
            }]);
            for range in ranges {
                known.push((id, range.offset, &b"first"[..]));
                known.push((id, range.offset + range.length - 5, &b"last."[..]));
            }
        }
        let tree = Arc::new(tree);
        let counted = count(format, &tree);
        let plan = counted.plan(counted.smallest(16 * MIB).unwrap()).unwrap();
        check_plan(plan.as_ref());
        let image = write_sparsely(directory.path(), &tree, plan.as_ref(), &known);
        e2fsck(&image);
        let mount = mount(&image, kind, "ro");
        compare(mount.path(), &tree);
        for (id, offset, bytes) in &known {
            let Kind::File(content) = &tree.inode(*id).kind else {
                panic!("not a file");
            };
            let file = fs::File::open(mount.path().join(content.size.to_string())).unwrap();
            let mut found = vec![0; bytes.len()];
            file.read_exact_at(&mut found, *offset).unwrap();
            assert_eq!(found, *bytes, "{kind}: {} at {offset}", content.size);
        }
        mount.unmount();
    }
}

#[test]
fn a_file_of_5_gib_has_a_triple_indirect_block() {
    long_files(&[(DOUBLE * 4096, None), (5 * GIB + 1, None)]);
}

#[test]
fn sparse_files_on_all_levels_and_of_the_greatest_length() {
    let range = |block: u64, blocks: u64| DataRange {
        offset: block * 4096,
        length: blocks * 4096,
    };
    long_files(&[
        (
            (DOUBLE + 5_000_000) * 4096,
            Some(vec![
                range(3, 2),
                range(DIRECT - 1, 2),
                range(SINGLE - 1, 2),
                range(SINGLE + 5000, 1),
                range(DOUBLE - 1, 2),
                range(DOUBLE + 2000, 3),
                range(DOUBLE + 4_999_999, 1),
            ]),
        ),
        (1 << 40, Some(Vec::new())),
        (
            2_196_873_666_560,
            Some(vec![range(0, 1), range(536_346_109, 1)]),
        ),
    ]);
}

#[test]
fn directories_with_31_998_subdirectories_and_files_with_32_000_names() {
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    let linked = tree.insert(InodeId::ROOT, b"linked", file(b"x")).unwrap();
    for number in 0..31_998 {
        let name = format!("{number:05}");
        tree.insert(top, name.as_bytes(), directory()).unwrap();
    }
    let other = tree.insert(InodeId::ROOT, b"other", directory()).unwrap();
    for number in 0..31_999 {
        tree.link(other, format!("{number:05}").as_bytes(), linked)
            .unwrap();
    }
    let tree = Arc::new(tree);
    let directory = scratch();
    let (kind, format) = TYPES[1];
    let length = count(format, &tree).smallest(0).unwrap();
    let image = make(directory.path(), format, &tree, length);
    let mount = mount(&image, kind, "ro");
    for name in ["top", "linked"] {
        let stat = fs::symlink_metadata(mount.path().join(name)).unwrap();
        assert_eq!(stat.nlink(), 32_000, "{name}");
    }
    mount.unmount();
}

#[test]
fn grub_lists_and_reads_files() {
    let mut tree = empty_tree();
    let boot = tree.insert(InodeId::ROOT, b"boot", directory()).unwrap();
    let bytes: Vec<u8> = (0..6_000_000u32)
        .flat_map(|n| n.to_le_bytes())
        .take(6_000_000)
        .collect();
    tree.insert(boot, b"kernel", file(&bytes)).unwrap();
    let link = inode(Kind::Symlink(b"kernel"[..].into()));
    tree.insert(boot, b"default", link).unwrap();
    let tree = Arc::new(tree);
    for (_, format) in TYPES {
        let directory = scratch();
        let image = make(directory.path(), format, &tree, 64 * MIB);
        let grub = |arguments: &[&str]| {
            let mut grub = next::program("usr/bin/grub-fstest");
            let output = grub.arg(&image).args(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            output.stdout
        };
        let listed = String::from_utf8(grub(&["ls", "/boot"])).unwrap();
        assert!(listed.contains("kernel") && listed.contains("default"));
        let read = grub(&["cat", "/boot/default"]);
        assert_eq!(Sha256::digest(&read), Sha256::digest(&bytes));
    }
}

#[test]
fn big_directories_take_and_lose_files() {
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    let count_of_files = 4000usize;
    for number in 0..count_of_files {
        let name = format!("{number:0>100}");
        tree.insert(top, name.as_bytes(), file(b"")).unwrap();
    }
    let tree = Arc::new(tree);
    for (kind, format) in TYPES {
        let directory = scratch();
        let length = count(format, &tree).smallest(64 * MIB).unwrap();
        let image = make(directory.path(), format, &tree, length);
        let mount = mount(&image, kind, "rw");
        let top = mount.path().join("top");
        for number in 0..count_of_files {
            let old = top.join(format!("{number:0>100}"));
            match number % 3 {
                0 => fs::remove_file(&old).unwrap(),
                1 => fs::rename(&old, top.join(format!("renamed-{number}"))).unwrap(),
                _ => fs::write(&old, vec![1; 20_000]).unwrap(),
            }
        }
        for number in 0..1000 {
            fs::write(top.join(format!("new-{number:0>200}")), b"new").unwrap();
        }
        let listed = fs::read_dir(&top).unwrap().count();
        assert_eq!(listed, count_of_files - count_of_files.div_ceil(3) + 1000);
        mount.unmount();
        e2fsck(&image);
        let dump = stdout(command("dumpe2fs").arg("-h").arg(&image));
        assert!(dump.contains("clean\n"), "{dump}");
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_order_of_insertion() {
    let tree = |backwards: bool| {
        let mut tree = empty_tree();
        let mut numbers: Vec<usize> = (0..900).collect();
        if backwards {
            numbers.reverse();
        }
        for number in numbers {
            let bytes = vec![u8::try_from(number % 256).unwrap(); number * 97];
            let name = format!("{number:0>30}");
            tree.insert(InodeId::ROOT, name.as_bytes(), file(&bytes))
                .unwrap();
        }
        Arc::new(tree)
    };
    for (kind, format) in TYPES {
        let directory = scratch();
        let images = [false, true, true].map(|backwards| {
            let plan = count(format, &tree(backwards)).plan(64 * MIB).unwrap();
            fs::read(write(directory.path(), plan)).unwrap()
        });
        assert!(images[0] == images[1] && images[1] == images[2], "{kind}");
    }
}
