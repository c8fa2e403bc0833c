//! Trees of all kinds, by every method.

use std::fs;
use std::sync::Arc;

use make_disk_image::fs::SquashfsCompression;
use make_disk_image::tree::{
    Content, DataRange, Device, Inode, InodeId, Kind, Metadata, Source, Timestamp, Tree,
};
use sha2::{Digest, Sha256};

use super::*;
use crate::common::program::hash;
use crate::common::runner::runner;
use crate::common::scratch;
use crate::random_tree::{build, entry};

fn every_kind() -> Tree {
    let mut tree = with_lost_found();
    let root = &mut tree.inode_mut(InodeId::ROOT).metadata;
    root.mode = 0o1751;
    (root.uid, root.gid) = (5, 70_000);
    root.mtime = Timestamp::from_seconds(77);
    root.xattrs = vec![
        xattr("trusted.a", b"\0\xff\n"),
        xattr("user.b", &[9; 45_000]),
    ]
    .into();
    let mut add = |parent: InodeId, name: &[u8], kind: Kind, change: &dyn Fn(&mut Metadata)| {
        let mut inode = inode(kind);
        change(&mut inode.metadata);
        tree.insert(parent, name, inode).unwrap()
    };
    let top = add(InodeId::ROOT, b"top", directory().kind, &|metadata| {
        metadata.mode = 0o2775;
        (metadata.uid, metadata.gid) = (4_294_967_294, 4_294_967_293);
        metadata.mtime = Timestamp::from_seconds(u32::MAX.into());
        metadata.xattrs = vec![
            xattr("security.selinux", b"system_u:object_r:bin_t:s0\0"),
            xattr("trusted.overlay.opaque", b"y"),
            xattr("user.empty", b""),
            xattr("user.long", &[7; 60_000]),
            xattr("user.with space", b"a=b\n\n12 c=d\n"),
        ]
        .into();
    });
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let file = |bytes: &[u8]| Kind::File(Content::bytes(bytes.to_vec()));
    let linked = add(top, b"setuid", file(b"hello"), &|metadata| {
        metadata.mode = 0o4755;
        metadata.xattrs = vec![xattr("security.capability", &capability)].into();
    });
    let same = |_: &mut Metadata| ();
    add(top, b"empty", file(b""), &same);
    add(top, b"same", file(b"hello"), &same);
    add(
        top,
        b"big",
        file(&b"0123456789abcdef".repeat(200_000)),
        &same,
    );
    let link = add(top, b"link", Kind::Symlink(b"setuid"[..].into()), &same);
    for length in [100, 101, 4095] {
        let target = Kind::Symlink(vec![0xe9; length].into());
        add(top, format!("link-{length}").as_bytes(), target, &same);
    }
    add(top, &[0xff; 255], file(b"long name"), &same);
    add(top, b"new\nline \"\\ ", file(b"x"), &same);
    let fifo = add(top, b"fifo", Kind::Fifo, &same);
    let socket = add(top, b"so\"ck\\et\n", Kind::Socket, &|metadata| {
        metadata.mode = 0o1600;
        metadata.mtime = Timestamp::from_seconds(9);
        metadata.xattrs = vec![xattr("trusted.x", b"\x01 2")].into();
    });
    let mut devices = Vec::new();
    for (number, (major, minor)) in [(0, 0), (8, 1), (4095, 1_048_575), (1, 524_288)]
        .into_iter()
        .enumerate()
    {
        let device = Device { major, minor };
        for (name, kind) in [
            ("c", Kind::CharacterDevice(device)),
            ("b", Kind::BlockDevice(device)),
        ] {
            devices.push(add(top, format!("{name}{number}").as_bytes(), kind, &same));
        }
    }
    // Deep, with a path that does not fit in a header.
    let mut deep = top;
    for _ in 0..12 {
        deep = add(deep, &[b'd'; 200], directory().kind, &same);
    }
    add(deep, b"deep file", file(b"deep"), &same);
    for (number, id) in [linked, link, fifo, socket, devices[0], devices[5]]
        .into_iter()
        .enumerate()
    {
        for parent in [InodeId::ROOT, deep, top] {
            tree.link(parent, format!("hard link {number}").as_bytes(), id)
                .unwrap();
        }
    }
    tree
}

#[test]
fn every_kind_of_inode_by_every_method() {
    let tree = Arc::new(every_kind());
    for (compression, block_size, method) in [
        (ZSTD, 1 << 20, "zstd"),
        (SquashfsCompression::Gzip { level: 1 }, 4096, "gzip"),
        (SquashfsCompression::Xz, 131_072, "xz"),
        (SquashfsCompression::Lz4, 65_536, "lz4"),
        (SquashfsCompression::Lz4Hc, 1 << 20, "lz4"),
    ] {
        let directory = scratch();
        let image = make(
            directory.path(),
            &squashfs(directory.path(), compression, block_size),
            &tree,
        );
        check_image(&image, &tree);
        let header = header(&image);
        assert!(
            header.contains(&format!("Compression {method}\n")),
            "{header}"
        );
        assert!(
            header.contains(&format!("Block size {block_size}\n")),
            "{header}"
        );
        assert!(header.contains("Tue Nov 14 22:13:20 2023\n"), "{header}");
    }
}

#[test]
fn an_empty_tree_and_a_longer_image() {
    let directory = scratch();
    let mut tree = Tree::new(Metadata::new(0o700));
    let format = squashfs(directory.path(), ZSTD, 1 << 20);
    let counted = count(&format, &Arc::new(tree.clone())).unwrap();
    assert_eq!(counted.smallest(0).unwrap(), 4096);
    tree = with_lost_found();
    let tree = Arc::new(tree);
    let counted = count(&format, &tree).unwrap();
    let needed = counted.smallest(0).unwrap();
    let Err(PlanError::TooSmall {
        needed: found,
        inodes: 2,
        length,
    }) = counted.plan(needed - 4096)
    else {
        panic!("too small a length was planned");
    };
    assert_eq!((found, length), (needed, needed - 4096));
    // Several plans of one run.
    for length in [needed, 10 * MIB, GIB] {
        let image = write(directory.path(), counted.plan(length).unwrap());
        assert_eq!(fs::metadata(&image).unwrap().len(), length);
        check_image(&image, &tree);
    }
}

#[test]
fn sparse_files_of_all_shapes() {
    let directory = scratch();
    let mut tree = with_lost_found();
    let shapes: [(u64, &[(u64, u64)]); 8] = [
        (5_000_000, &[]),
        (5_000_001, &[(0, 1)]),
        (5_000_001, &[(4_999_990, 11)]),
        (
            5_000_100,
            &[
                (1, 700),
                (1000, 3000),
                (2_000_000, 5000),
                (4_900_000, 100_100),
            ],
        ),
        (8 << 20, &[(1 << 20, 4096)]),
        (20_000, &[(5000, 1)]),
        (3_000_000, &[(0, 3_000_000)]),
        ((1 << 20) + 1, &[]),
    ];
    for (number, (size, ranges)) in shapes.into_iter().enumerate() {
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        for &(offset, length) in ranges {
            let offset = usize::try_from(offset).unwrap();
            let length = usize::try_from(length).unwrap();
            bytes[offset..offset + length].fill(0xa5);
        }
        let ranges = ranges
            .iter()
            .map(|&(offset, length)| DataRange { offset, length });
        let content = Content {
            size,
            source: Source::Bytes(bytes.into()),
            data: Some(Box::new(ranges.collect())),
        };
        tree.insert(
            InodeId::ROOT,
            format!("{number}").as_bytes(),
            inode(Kind::File(content)),
        )
        .unwrap();
    }
    // Only its end is sent.
    let long = Content {
        size: 1 << 33,
        source: Source::Bytes(Arc::from(&b""[..])),
        data: Some(Box::default()),
    };
    tree.insert(InodeId::ROOT, b"long", inode(Kind::File(long)))
        .unwrap();
    let tree = Arc::new(tree);
    let image = make(
        directory.path(),
        &squashfs(directory.path(), ZSTD, 1 << 20),
        &tree,
    );
    check_image(&image, &tree);
}

#[test]
fn the_bytes_depend_neither_on_threads_nor_on_the_order_of_insertion() {
    let tree = |backwards: bool| {
        let mut tree = empty_tree();
        let mut numbers: Vec<usize> = (0..300).collect();
        if backwards {
            numbers.reverse();
        }
        for number in numbers {
            let bytes = format!("{number:x}").repeat(number * 7);
            let name = format!("{number:0>30}");
            tree.insert(InodeId::ROOT, name.as_bytes(), file(bytes.as_bytes()))
                .unwrap();
        }
        Arc::new(tree)
    };
    let digests = [(1, false), (8, false), (3, true), (1, true)].map(|(threads, backwards)| {
        let directory = scratch();
        let mut format = squashfs(directory.path(), ZSTD, 4096);
        format.threads = threads;
        hash(make(directory.path(), &format, &tree(backwards)))
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[test]
fn grub_lists_and_reads_files() {
    let mut tree = empty_tree();
    let boot = tree.insert(InodeId::ROOT, b"boot", directory()).unwrap();
    let bytes = b"0123456789".repeat(300_000);
    tree.insert(boot, b"kernel", file(&bytes)).unwrap();
    let tree = Arc::new(tree);
    // Debian's GRUB 2.12 reads squashfs with gzip and xz, and zstd only in btrfs.
    let directory = scratch();
    let format = squashfs(directory.path(), SquashfsCompression::Xz, 1 << 20);
    let image = make(directory.path(), &format, &tree);
    let output = next::program("usr/bin/grub-fstest")
        .arg(&image)
        .args(["cat", "/boot/kernel"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(Sha256::digest(&output.stdout), Sha256::digest(&bytes));
}

#[test]
fn random_trees_are_as_they_were() {
    let trees = proptest::collection::vec(entry(), 0..40);
    runner("SQUASHFS_TREES", 10)
        .run(&trees, |entries| {
            let mut tree = build(entries);
            let _ = tree.insert(InodeId::ROOT, b"lost+found", lost_found());
            let mut inodes = vec![InodeId::ROOT];
            tree.walk(|_, id| inodes.push(id));
            for id in inodes {
                let Inode { metadata, kind } = tree.inode_mut(id);
                if matches!(
                    kind,
                    Kind::Socket | Kind::CharacterDevice(_) | Kind::BlockDevice(_)
                ) {
                    // Which sqfstar refuses.
                    metadata.xattrs.retain(|xattr| !xattr.value.is_empty());
                }
                metadata.mtime = Timestamp::from_seconds(metadata.mtime.seconds & 0xffff_ffff);
            }
            let tree = Arc::new(tree);
            let directory = scratch();
            let image = make(
                directory.path(),
                &squashfs(directory.path(), ZSTD, 65_536),
                &tree,
            );
            check_image(&image, &tree);
            Ok(())
        })
        .unwrap();
}
