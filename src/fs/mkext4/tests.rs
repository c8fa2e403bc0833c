//! The model of the crate's layout against the crate, and the defaults against mkfs.ext4.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::process;
use crate::tree::{
    Content, DataRange, Device, Directory, Inode, InodeId, Kind, Metadata, Source, SourceFile,
    Timestamp, Xattr,
};

fn options() -> Options {
    Options {
        uuid: Uuid::from_u128(0xa17e_0000_4f5c_4d2e_8d0e_1f2a_3b4c_5d6e),
        label: "nixos".to_owned(),
        time: Timestamp::STORE,
    }
}

fn inode(kind: Kind) -> Inode {
    Inode {
        metadata: Metadata::new(0o755),
        kind,
    }
}

fn directory() -> Inode {
    inode(Kind::Directory(Directory::default()))
}

/// A file of which only the length is real: planning reads nothing.
fn file(size: u64, data: Option<Vec<DataRange>>) -> Inode {
    inode(Kind::File(Content {
        size,
        source: Source::File(SourceFile::new(Arc::from(Path::new("/")), "none".as_ref())),
        data: data.map(Vec::into_boxed_slice),
    }))
}

fn empty() -> Tree {
    Tree::new(Metadata::new(0o755))
}

/// A tree with each shape that decides on blocks.
fn tree(files: &[u64], links: usize, entries: usize, holes: u64, attribute: usize) -> Tree {
    let mut tree = empty();
    for (index, &size) in files.iter().enumerate() {
        let name = format!("file{index}");
        tree.insert(InodeId::ROOT, name.as_bytes(), file(size, None))
            .unwrap();
    }
    for length in 1..=links {
        let target = vec![b'x'; length * 7 % 4095 + 1];
        let name = format!("link{length}");
        let link = inode(Kind::Symlink(target.into()));
        tree.insert(InodeId::ROOT, name.as_bytes(), link).unwrap();
    }
    let parent = tree.insert(InodeId::ROOT, b"many", directory()).unwrap();
    for index in 0..entries {
        let name = format!("{index}{}", "n".repeat(index % 200));
        tree.insert(parent, name.as_bytes(), file(0, None)).unwrap();
    }
    if holes > 0 {
        let data = (0..holes).map(|index| DataRange {
            offset: index * 16384 + 100,
            length: 5000,
        });
        let sparse = file(holes * 16384, Some(data.collect()));
        let id = tree.insert(InodeId::ROOT, b"sparse", sparse).unwrap();
        tree.link(parent, b"again", id).unwrap();
    }
    let root = tree.inode_mut(InodeId::ROOT);
    root.metadata.xattrs.push(Xattr {
        name: b"user.test"[..].into(),
        value: vec![7; attribute].into(),
    });
    tree
}

/// What the crate itself says of `geometry`: free blocks, or why there are none.
fn by_the_crate(tree: &Tree, geometry: &Geometry) -> Result<u64, String> {
    let options = crate_options(geometry, &options()).unwrap();
    let mut builder = FsBuilder::new(options).unwrap();
    let files = declare::declare(tree, &mut builder).unwrap();
    let layout = builder.seal().map_err(|error| error.to_string())?;
    let usage = Planned::new(tree, layout, &files).unwrap().usage();
    assert_eq!(usage.inodes, geometry.inodes());
    Ok(usage.available / BLOCK + geometry.blocks * 5 / 100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_model_is_the_crate(
        files in prop::collection::vec(0u64..700 << 20, 0..5),
        small in prop::collection::vec(0u64..100_000, 0..40),
        links in 0usize..300,
        entries in 0usize..3000,
        holes in 0u64..2000,
        attribute in 0usize..4000,
        free in 0u64..300 << 20,
        more in 0u64..200_000,
    ) {
        let all: Vec<u64> = files.into_iter().chain(small).collect();
        let tree = tree(&all, links, entries, holes, attribute);
        let need = Need::of(&tree, &options());
        let least = Mkext4.smallest(&tree, free, &options()).unwrap();
        for blocks in [least / BLOCK, least / BLOCK + more] {
            let Some(geometry) = Geometry::of(blocks, &need) else { continue };
            let found = geometry.room(&need).free;
            match (found, by_the_crate(&tree, &geometry)) {
                (Some(free), Ok(real)) => {
                    // The crate's difference is exact where root's share is free.
                    prop_assert_eq!(free.max(geometry.blocks * 5 / 100), real);
                }
                (None, Err(error)) => prop_assert!(error.contains("too small"), "{}", error),
                (model, real) => prop_assert!(false, "{model:?} {real:?} {geometry:?}"),
            }
        }
        let usage = Mkext4.plan(&Arc::new(tree.clone()), least, &options()).unwrap().usage();
        prop_assert!(usage.available >= free);
        prop_assert!(usage.inodes - usage.inodes_used >= usage.available / 16384);
        // A block less is too little, by the crate's own word.
        if least / BLOCK > 4096 {
            let geometry = Geometry::of(least / BLOCK - 1, &need).unwrap();
            if let Ok(found) = by_the_crate(&tree, &geometry) {
                prop_assert!(free > 0 && found - geometry.blocks * 5 / 100 < free.div_ceil(BLOCK));
            }
        }
    }
}

#[test]
fn inodes_are_those_of_mkfs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    let need = Need::of(&empty(), &options());
    let mib = 1 << 20;
    for length in [
        16 * mib,
        17 * mib + 4096,
        100 * mib,
        127 * mib,
        128 * mib,
        140 * mib,
        300 * mib,
        511 * mib,
        512 * mib - 4096,
        512 * mib,
        640 * mib,
        1000 * mib,
        1024 * mib,
        4097 * mib,
        100_000 * mib,
        (2 << 40) + 4096,
        4 << 40,
    ] {
        std::fs::File::create(&path)
            .unwrap()
            .set_len(length)
            .unwrap();
        let mut mkfs = Command::new("mkfs.ext4");
        mkfs.args(["-n", "-F", "-b", "4096"]).arg(&path);
        let said = String::from_utf8(process::output(&mut mkfs).unwrap()).unwrap();
        let geometry = Geometry::of(length / BLOCK, &need).unwrap();
        let expected = format!(
            "{} 4k blocks and {} inodes",
            geometry.blocks,
            geometry.inodes()
        );
        assert!(
            said.contains(&expected),
            "{length}: {said} lacks {expected}"
        );
    }
}

#[test]
fn one_block_less_is_an_error_with_figures() {
    let tree = tree(&[5 << 20, 100], 3, 10, 0, 0);
    let least = Mkext4.smallest(&tree, 40 << 20, &options()).unwrap();
    let usage = Mkext4
        .plan(&Arc::new(tree.clone()), least, &options())
        .unwrap()
        .usage();
    assert_eq!(usage.length, least);
    let exact = Mkext4.smallest(&tree, 0, &options()).unwrap();
    assert_eq!(exact, 16 << 20);
    let error = Mkext4
        .plan(&Arc::new(tree.clone()), exact - 4096, &options())
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "16777216 bytes and 27 inodes are needed and there are 16773120 bytes"
    );
}

#[test]
fn many_inodes_need_room_too() {
    let tree = tree(&[], 0, 60_000, 0, 0);
    let error = Mkext4
        .plan(&Arc::new(tree.clone()), 16 << 20, &options())
        .err()
        .unwrap();
    let PlanError::TooSmall { needed, inodes, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(inodes, 60_012);
    let usage = Mkext4
        .plan(&Arc::new(tree.clone()), needed, &options())
        .unwrap()
        .usage();
    assert!(usage.inodes >= inodes);
    assert_eq!(usage.inodes_used, inodes);
    assert!(
        Mkext4
            .plan(&Arc::new(tree.clone()), needed - 4096, &options())
            .is_err()
    );
}

#[test]
fn everything_without_a_form_is_listed() {
    let mut tree = empty();
    let mut add = |name: &[u8], inode| tree.insert(InodeId::ROOT, name, inode).unwrap();
    add(b"lost+found", directory());
    add(b"\xff", directory());
    add(&[b'n'; 256], file(0, None));
    add(b"a", inode(Kind::Symlink(b"\xfe"[..].into())));
    add(b"b", inode(Kind::Symlink(vec![b'x'; 4096].into())));
    add(b"c", inode(Kind::Symlink(b""[..].into())));
    let minor = 1 << 20;
    add(b"d", inode(Kind::BlockDevice(Device { major: 1, minor })));
    let mut late = directory();
    late.metadata.mtime.seconds = i64::MAX;
    add(b"e", late);
    for (name, attribute, length) in [
        (b"f", "nfs4.acl", 1),
        (b"g", "user.x", 5000),
        (b"h", "system.posix_acl_access", 3),
    ] {
        let mut inode = directory();
        inode.metadata.xattrs.push(Xattr {
            name: attribute.as_bytes().into(),
            value: vec![0; length].into(),
        });
        add(name, inode);
    }
    add(b"i", file((1 << 44) - 4095, None));
    let twice = add(b"j", directory());
    tree.link(InodeId::ROOT, b"k", twice).unwrap();
    let options = Options {
        label: "seventeen letters".to_owned(),
        ..options()
    };
    let error = Mkext4.smallest(&tree, 0, &options).unwrap_err();
    let PlanError::Unrepresentable(lines) = &error else {
        panic!("{error}")
    };
    let beginnings = [
        "the label \"seventeen letters\": 16 bytes",
        "/a: the target \\xfe is not UTF-8",
        "/b: the target has 4096 bytes",
        "/c: the target has 0 bytes",
        "/d: the device 1:1048576 is beyond 4095:1048575",
        "/e: the time 9223372036854775807.000000000 is not from 1901 to 2446",
        "/f: the attribute nfs4.acl is in no namespace",
        "/g: the attribute user.x has 5000 bytes",
        "/h: system.posix_acl_access is no access control list",
        "/i: the file has 17592186040321 bytes, 17592186040320 at most",
        "/k: a directory with a second name",
        "/lost+found: the file system has a directory",
        "/nnn",
        "/\\xff: the name is not UTF-8",
    ];
    assert_eq!(lines.len(), beginnings.len(), "{error}");
    for (line, beginning) in lines.iter().zip(beginnings) {
        assert!(line.starts_with(beginning), "{line} is not {beginning}");
    }
    assert!(lines[12].ends_with("the name has 256 bytes, 255 at most"));
}

#[test]
fn more_than_sixteen_tebibytes_is_an_error_that_says_so() {
    let error = Mkext4.smallest(&empty(), 1 << 50, &options()).unwrap_err();
    assert!(error.to_string().contains("ends at 16 TiB"), "{error}");
}
