//! Corner cases. Most are in few images, because each guest takes a second.

use std::sync::Arc;

use make_disk_image::fs::{F2fs, Format};
use make_disk_image::tree::{Device, Flags, Inode, InodeId, Kind, Timestamp, Tree};

use super::checks::{check, check_plan, tool};
use super::guest;
use super::images::*;
use super::kernel::{compare, make_and_compare};
use crate::common::{next, run, said, scratch, stdout};

/// A tree with everything that f2fs stores in a way of its own.
fn everything() -> Tree {
    let mut tree = empty_tree();
    let root = InodeId::ROOT;
    // Contents in the inode, and just too long for it; in the inode's blocks, and in other nodes.
    for length in [
        0,
        1,
        3487,
        3488,
        3489,
        4096,
        4097,
        873 * 4096,
        873 * 4096 + 1,
        9_000_000,
    ] {
        let bytes: Vec<u8> = (0..251u8).cycle().take(length).collect();
        for extension in ["", ".so", ".db"] {
            add(
                &mut tree,
                root,
                format!("{length}{extension}"),
                file(&bytes),
            );
        }
    }
    for length in [1, 3487, 3488, 3489, 4094, 4095] {
        add(
            &mut tree,
            root,
            format!("link-{length}"),
            symlink(&vec![0xe9; length]),
        );
    }
    let numbers = [
        (0, 0),
        (8, 255),
        (255, 255),
        (256, 0),
        (259, 0x12345),
        (4095, 1_048_575),
    ];
    for (major, minor) in numbers {
        let device = Device { major, minor };
        add(
            &mut tree,
            root,
            format!("c{major}-{minor}"),
            inode(Kind::CharacterDevice(device)),
        );
        add(
            &mut tree,
            root,
            format!("b{major}-{minor}"),
            inode(Kind::BlockDevice(device)),
        );
    }
    add(&mut tree, root, "fifo", inode(Kind::Fifo));
    add(&mut tree, root, "socket", inode(Kind::Socket));
    let times = [
        (0, 0),
        (-1, 999_999_999),
        (i64::from(i32::MIN) - 1, 1),
        (1 << 33, 5),
        (1 << 40, 0),
    ];
    for (seconds, nanoseconds) in times {
        let mut inode = file(b"x");
        inode.metadata.mtime = Timestamp {
            seconds,
            nanoseconds,
        };
        add(&mut tree, root, format!("time-{seconds}"), inode);
    }
    for (mode, uid, gid) in [
        (0o7777, 1000, 100),
        (0, u32::MAX - 1, 70_000),
        (0o4711, 0, 5),
    ] {
        for mut inode in [file(b"x"), directory()] {
            inode.metadata.mode = mode;
            (inode.metadata.uid, inode.metadata.gid) = (uid, gid);
            let name = format!("mode-{mode:o}-{}", matches!(inode.kind, Kind::File(_)));
            add(&mut tree, root, name, inode);
        }
    }
    names(&mut tree);
    xattrs(&mut tree);
    tree
}

fn names(tree: &mut Tree) {
    let root = InodeId::ROOT;
    let linked = add(tree, root, "linked.so", file(b"linked"));
    let top = add(tree, root, "names", directory());
    for number in 1..=300 {
        tree.link(top, format!("hard-{number}").as_bytes(), linked)
            .unwrap();
    }
    for length in 1..=255 {
        add(tree, top, vec![0xff; length], file(b"x"));
    }
    add(tree, top, b"\n\\ \x01", symlink(b"\n"));
    // The last entry that fits in an inode, and the first that does not.
    for count in [179, 180, 181] {
        let top = add(tree, root, format!("entries-{count}"), directory());
        for number in 0..count {
            add(tree, top, format!("{number}"), directory());
        }
    }
    let mut deep = root;
    for number in 0..40 {
        deep = add(tree, deep, format!("{number:0>50}"), directory());
    }
}

fn xattrs(tree: &mut Tree) {
    // 24 bytes of header and 4 + 1 of the entry: in the inode up to 171, in all up to 4243.
    for length in [0, 1, 2, 3, 4, 170, 171, 172, 1000, 4242, 4243] {
        for (name, mut inode) in [("f", file(b"x")), ("d", directory())] {
            inode.metadata.xattrs = vec![xattr("user.x", &vec![0x5a; length])].into();
            add(tree, InodeId::ROOT, format!("xattr-{name}-{length}"), inode);
        }
    }
    let mut many = file(&[7; 5_000_000]);
    let names = (0..200).map(|number| xattr(&format!("user.{number:03}"), &[1, 2, 3]));
    many.metadata.xattrs = names.collect::<Vec<_>>().into();
    add(tree, InodeId::ROOT, "xattr-many", many);
    let mut mixed = directory();
    // Access and default ACL: rwx for the owner, r-x for user 1000, mask and others.
    let entry = |tag: u16, permissions: u16, id: u32| {
        [
            &tag.to_le_bytes()[..],
            &permissions.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    };
    let acl = [
        2u32.to_le_bytes().to_vec(),
        entry(1, 7, u32::MAX),
        entry(2, 5, 1000),
        entry(4, 5, u32::MAX),
        entry(8, 1, 70_000),
        entry(0x10, 5, u32::MAX),
        entry(0x20, 0, u32::MAX),
    ]
    .concat();
    mixed.metadata.mode = 0o750;
    mixed.metadata.xattrs = vec![
        xattr("security.x", b"label"),
        xattr("system.posix_acl_access", &acl),
        xattr("system.posix_acl_default", &acl),
        xattr("trusted.x", b"\0"),
        xattr(&format!("user.{}", "n".repeat(250)), b"long name"),
    ]
    .into();
    add(tree, InodeId::ROOT, "xattr-mixed", mixed);
}

#[test]
fn everything_arrives_in_small_and_empty_and_large_file_systems() {
    make_and_compare(vec![everything(), empty_tree()], 10 * MIB);
}

/// chattr(1) shows flags by its letters: sync, immutable, append, nodump, noatime, dirsync.
#[test]
fn flags_are_shown_by_lsattr() {
    let mut tree = empty_tree();
    let with = |mut inode: Inode, bits| {
        inode.metadata.flags = match inode.kind {
            Kind::Directory(_) => Flags::of_directory(bits),
            _ => Flags::of_file(bits),
        };
        inode
    };
    for (name, bits) in [
        ("none", 0),
        ("all", u32::MAX),
        ("append", 0x20),
        ("noatime", 0x80),
    ] {
        add(
            &mut tree,
            InodeId::ROOT,
            format!("f-{name}"),
            with(file(b"x"), bits),
        );
        add(
            &mut tree,
            InodeId::ROOT,
            format!("d-{name}"),
            with(directory(), bits),
        );
    }
    let tree = Arc::new(tree);
    let directory = scratch();
    let image = make(directory.path(), &tree, smallest(&tree, MIB));
    let answer = guest::script(
        &[&image],
        "mount -t f2fs /dev/vda /mnt; lsattr -d /mnt/*; umount /mnt",
    );
    let text = answer.text("console");
    let found: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(" /mnt/"))
        .map(|(flags, name)| format!("{name} {}", flags.replace(['-', 'N', 'e'], "")))
        .collect();
    let wanted = [
        "d-all SDiadA",
        "d-append a",
        "d-noatime A",
        "d-none ",
        "f-all SiadA",
        "f-append a",
        "f-noatime A",
        "f-none ",
    ];
    assert_eq!(found, wanted, "{text}");
}

#[test]
fn long_and_sparse_files_have_all_kinds_of_nodes() {
    let directory = scratch();
    let mut tree = empty_tree();
    let block = 4096;
    let (inode, node) = (873, 1018);
    let double = inode + 2 * node + 2 * node * node;
    let last = 2 * node + 2 * node * node + node * node * node;
    // Single blocks on both sides of each boundary in the tree of nodes.
    let edges: Vec<(u64, u64)> = [
        0,
        inode,
        inode + node,
        inode + 2 * node,
        inode + 2 * node + node * node,
        double,
        double + node,
        double + node * node,
        last,
    ]
    .into_iter()
    .flat_map(|edge: u64| [edge.saturating_sub(2), edge])
    .filter(|first| *first < last)
    .map(|first| (first * block, block))
    .collect();
    let mut ranges = edges.clone();
    ranges.dedup();
    add(
        &mut tree,
        InodeId::ROOT,
        "edges",
        unknown(last * block, Some(&ranges)),
    );
    add(
        &mut tree,
        InodeId::ROOT,
        "hole",
        unknown(3 << 40, Some(&[])),
    );
    add(
        &mut tree,
        InodeId::ROOT,
        "end",
        unknown(1 << 40, Some(&[((1 << 40) - 8192, 8192)])),
    );
    add(
        &mut tree,
        InodeId::ROOT,
        "long.iso",
        unknown(9 * GIB + 5000, None),
    );
    // Ranges that share blocks.
    let small: Vec<(u64, u64)> = (0..500).map(|at| (at * 3000 + 1, 16)).collect();
    add(
        &mut tree,
        InodeId::ROOT,
        "small",
        unknown(3_000_000, Some(&small)),
    );
    let tree = Arc::new(tree);
    let plan = plan(&tree, smallest(&tree, MIB)).unwrap();
    check_plan(plan.as_ref());
    let image = write_sparsely(directory.path(), plan.as_ref(), b"mark");
    check(&image);
    let reads: String = edges
        .iter()
        .map(|(offset, _)| format!("edges {offset}\n"))
        .chain([0, 5 * GIB, 9 * GIB].map(|offset| format!("long.iso {offset}\n")))
        .chain([format!("end {}\n", (1u64 << 40) - 8192)])
        .collect();
    let answer = guest::script(
        &[&image],
        &format!(
            "mount -t f2fs /dev/vda /mnt\n\
             while read -r name offset; do\n\
               echo \"$name $offset $(dd if=/mnt/$name bs=4 count=1 iflag=skip_bytes skip=$offset status=none)\"\n\
             done <<'EOF'\n{reads}EOF\n\
             stat -c '%n %s %b' /mnt/*\n\
             for name in edges hole end small long.iso; do rm /mnt/$name; sync; done\n\
             umount /mnt\n"
        ),
    );
    let text = answer.text("console");
    for (offset, _) in &edges {
        assert!(
            text.contains(&format!("edges {offset} mark\n")),
            "{offset}: {text}"
        );
    }
    assert!(
        text.contains(&format!("end {} mark\n", (1u64 << 40) - 8192)),
        "{text}"
    );
    assert!(text.contains("long.iso 0 mark\n"), "{text}");
    assert!(
        text.contains(&format!("/mnt/long.iso {} ", 9 * GIB + 5000)),
        "{text}"
    );
    guest::assert_quiet(&answer);
    check(&image);
}

#[test]
fn a_directory_with_many_names() {
    let count: usize = match std::env::var("F2FS_FILES") {
        Ok(count) => count.parse().expect("F2FS_FILES is a number"),
        Err(_) => 20_000,
    };
    let directory = scratch();
    let mut tree = empty_tree();
    let top = add(&mut tree, InodeId::ROOT, "top", super::images::directory());
    let one = add(&mut tree, top, "0", file(b""));
    for number in 1..count {
        let length = 1 + number % 60;
        let name = format!("{number:0>length$}");
        tree.link(top, name.as_bytes(), one).unwrap();
    }
    let tree = Arc::new(tree);
    let image = make(directory.path(), &tree, smallest(&tree, MIB));
    let answer = guest::script(
        &[&image],
        &format!(
            "mount -t f2fs /dev/vda /mnt; cd /mnt/top\n\
         ls | wc -l; ls | xargs stat -c %h | grep -c {count}; cd /; umount /mnt\n"
        ),
    );
    let text = answer.text("console");
    assert!(text.starts_with(&format!("{count}\n{count}\n")), "{text}");
}

/// GRUB's own reader.
#[test]
fn grub_reads_files_of_all_kinds() {
    let directory = scratch();
    let tree = everything();
    let image = make(directory.path(), &Arc::new(tree), 200 * MIB);
    let grub = |arguments: &[&str]| {
        let mut fstest = next::program("usr/bin/grub-fstest");
        fstest.arg(&image);
        let output = run(fstest.args(arguments));
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        output.stdout
    };
    for length in [1, 3488, 3489, 873 * 4096 + 1, 9_000_000] {
        let bytes: Vec<u8> = (0..251u8).cycle().take(length).collect();
        for extension in ["", ".so", ".db"] {
            assert!(
                grub(&["cat", &format!("(loop0)/{length}{extension}")]) == bytes,
                "{length}"
            );
        }
    }
    let names = String::from_utf8_lossy(&grub(&["ls", "(loop0)/entries-181/"])).into_owned();
    assert_eq!(names.split_whitespace().count(), 181, "{names}");
    let names = String::from_utf8_lossy(&grub(&["ls", "(loop0)/entries-179/"])).into_owned();
    assert_eq!(names.split_whitespace().count(), 179, "{names}");
    assert_eq!(grub(&["cat", "(loop0)/names/hard-7"]), b"linked");
}

#[test]
fn labels_are_utf_16() {
    let directory = scratch();
    let tree = Arc::new(empty_tree());
    for label in ["", "ä😀", &"x".repeat(512)] {
        let mut options = options();
        options.label = label.to_owned();
        let plan = F2fs.count(&tree, &options).unwrap().plan(64 * MIB).unwrap();
        let image = write(directory.path(), plan);
        check(&image);
        let dump = stdout(tool("dump.f2fs").args(["-d", "1"]).arg(&image));
        let found = dump
            .lines()
            .find(|line| line.starts_with("volum_name"))
            .unwrap();
        assert!(found.ends_with(&format!("[{label}]")), "{found}");
    }
}

/// The one-block-root of an empty tree, at several lengths that are not whole segments.
#[test]
fn lengths_need_not_be_whole_segments() {
    let directory = scratch();
    let tree = Arc::new(everything());
    let length = smallest(&tree, 0);
    for more in [512, 2 * MIB - 4096] {
        let image = make(directory.path(), &tree, length + more);
        assert_eq!(std::fs::metadata(&image).unwrap().len(), length + more);
    }
    let image = make(directory.path(), &tree, length + 4096);
    compare(&guest::list(&[&image])[0], &tree);
}
