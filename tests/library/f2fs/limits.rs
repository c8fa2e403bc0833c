//! Everything that f2fs can't store is reported, with its path and the limit.

use std::sync::Arc;

use make_disk_image::fs::{F2fs, Format, PlanError};
use make_disk_image::tree::{Device, InodeId, Kind, Tree};

use super::images::*;

fn problems(tree: Tree, label: &str) -> Vec<String> {
    let mut options = options();
    options.label = label.to_owned();
    match F2fs.count(&Arc::new(tree), &options) {
        Err(PlanError::Unrepresentable(problems)) => problems,
        Err(error) => panic!("{error}"),
        Ok(_) => Vec::new(),
    }
}

#[test]
fn problems_name_the_path_and_the_limit() {
    let mut tree = empty_tree();
    let root = InodeId::ROOT;
    let top = add(&mut tree, root, "d\n", directory());
    add(&mut tree, top, vec![b'n'; 256], file(b""));
    add(&mut tree, top, "link", symlink(&[b'x'; 4096]));
    add(&mut tree, top, "nul", symlink(b"x\0"));
    let device = Device {
        major: 4096,
        minor: 0,
    };
    add(&mut tree, top, "device", inode(Kind::BlockDevice(device)));
    let mut owned = file(b"");
    owned.metadata.uid = u32::MAX;
    owned.metadata.mtime.nanoseconds = 1_000_000_000;
    add(&mut tree, top, "owned", owned);
    let mut long = file(b"");
    long.metadata.xattrs = vec![xattr("user.x", &[0; 4244])].into();
    add(&mut tree, top, "value", long);
    let mut named = file(b"");
    named.metadata.xattrs = vec![xattr(&format!("user.{}", "x".repeat(256)), b"")].into();
    add(&mut tree, top, "name", named);
    let mut other = file(b"");
    other.metadata.xattrs = vec![xattr("system.x", b"")].into();
    add(&mut tree, top, "other", other);
    let longest = (2 * 1018 + 2 * 1018 * 1018 + 1018 * 1018 * 1018) * 4096;
    add(&mut tree, top, "size", unknown(longest + 1, Some(&[])));
    add(&mut tree, top, "fits", unknown(longest, Some(&[])));
    tree.link(top, b"again", top).unwrap();
    let found = problems(tree, &"ä".repeat(513)).join("\n");
    for wanted in [
        "has 513 UTF-16 units; f2fs's limit is 512",
        "/d\\n/again: a hard link to a directory",
        "nnn: the name has 256 bytes; f2fs's limit is 255",
        "/d\\n/link: the link target has 4096 bytes; Linux's limit is 4095",
        "/d\\n/nul: the link target is empty or contains a NUL",
        "/d\\n/device: the device number is 4096:0; Linux's limit is 4095:1048575",
        "/d\\n/owned: the owner ID is 4294967295; the limit is 4294967294",
        "/d\\n/owned: the time has 1000000000 ns; the limit is 999999999",
        "/d\\n/value: extended attributes need 4252 bytes; f2fs's limit is 4248",
        "a name of 256 bytes after its prefix; f2fs's limit is 255",
        "/d\\n/other: f2fs does not support the extended attribute system.x",
        "/d\\n/size: the file has 4329687105537 bytes; f2fs's limit is 4329687105536",
    ] {
        assert!(found.contains(wanted), "{wanted}\n{found}");
    }
    assert_eq!(found.lines().count(), 12, "{found}");
}

#[test]
fn file_systems_end_before_16_tib() {
    let mut tree = empty_tree();
    for number in 0..6 {
        add(
            &mut tree,
            InodeId::ROOT,
            format!("{number}"),
            unknown(3 << 40, None),
        );
    }
    let found = problems(tree, "").join("\n");
    assert!(
        found.contains("f2fs's limit is 4294967295 (16 TiB)"),
        "{found}"
    );

    let counted = F2fs.count(&Arc::new(empty_tree()), &options()).unwrap();
    assert!(counted.plan((16 << 40) - 4096).is_ok());
    for error in [
        counted.plan((16 << 40) + 4096).err().unwrap(),
        counted.smallest(16 << 40).err().unwrap(),
    ] {
        assert!(
            error.to_string().contains("(16 TiB)") || error.to_string().contains("16 TiB"),
            "{error}"
        );
    }
}
