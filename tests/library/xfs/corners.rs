//! Every form of directories, attributes, link targets and files.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use make_disk_image::tree::{
    Content, DataRange, Device, Flags, InodeId, Kind, Source, Timestamp, Tree,
};
use sha2::{Digest, Sha256};

use super::images::*;
use crate::common::{command, next, scratch, stdout};
use crate::ext4_writer::kernel::compare_names;

/// The command `print` of xfs_db on the inode of a file in a mounted image.
fn shown(image: &Path, mounted: &Path) -> String {
    let number = stdout(command("stat").args(["-c", "%i"]).arg(mounted));
    let request = format!("inode {}", number.trim());
    let mut print = next::program("usr/sbin/xfs_db");
    stdout(print.args(["-r", "-c", &request, "-c", "print"]).arg(image))
}

fn filled(tree: &mut Tree, name: &str, count: usize, length: usize) {
    let top = tree
        .insert(InodeId::ROOT, name.as_bytes(), directory())
        .unwrap();
    for number in 0..count {
        let name = format!("{number:0>length$}");
        tree.insert(top, name.as_bytes(), file(b"")).unwrap();
    }
}

/// Number of entries, length of their names, and the form of the directory.
const DIRECTORIES: [(usize, usize, &str); 12] = [
    (0, 1, "local"),
    (20, 8, "local"),
    (22, 8, "extents 1"),
    (124, 8, "extents 1"),
    (125, 8, "extents 2"),
    (167, 8, "extents 2"),
    (500, 8, "extents 2"),
    (501, 8, "extents 3"),
    (503, 8, "extents 3"),
    (3000, 8, "extents 3"),
    (6000, 255, "extents 3"),
    // More than one block of the index of free space.
    (31_000, 250, "extents 3"),
];

#[test]
fn directories_of_all_forms_take_and_lose_files() {
    let scratch = scratch();
    let mut tree = empty_tree();
    for (count, length, _) in DIRECTORIES {
        filled(&mut tree, &format!("{count}"), count, length);
    }
    let tree = Arc::new(tree);
    let length = count(&tree).smallest(32 * MIB).unwrap();
    let image = make(scratch.path(), &tree, length);
    let mounted = mount(&image, "rw");
    for (count, _, form) in DIRECTORIES {
        let text = shown(&image, &mounted.path().join(count.to_string()));
        let (format, extents) = form.split_once(' ').unwrap_or((form, "0"));
        assert!(text.contains(&format!("({format})")), "{count}: {text}");
        assert!(
            text.contains(&format!("core.nextents = {extents}\n")),
            "{count}: {text}"
        );
    }
    compare_names(mounted.path(), &tree, 0);
    for (count, length, _) in DIRECTORIES {
        let top = mounted.path().join(count.to_string());
        for number in (0..count).step_by(if count > 5000 { 11 } else { 1 }) {
            let old = top.join(format!("{number:0>length$}"));
            match number % 3 {
                0 => fs::remove_file(&old).unwrap(),
                1 => fs::rename(&old, top.join(format!("renamed-{number}"))).unwrap(),
                _ => {}
            }
        }
        for number in 0..100 {
            fs::write(top.join(format!("new-{number:0>100}")), b"new").unwrap();
        }
    }
    mounted.unmount();
    check(&image);
}

#[test]
fn names_with_the_same_hash_are_found() {
    // The hash is rotated by 28 bits for each four bytes, so a change of one part can undo that of
    // another.
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    for first in 0..64u8 {
        for second in 0..64u8 {
            // The two bytes are 7 bits apart, so that bit 0 of the first and bit 7 of the second
            // cancel.
            let name = [
                b"a-long-name-"[..].to_vec(),
                vec![
                    0x40 | first,
                    0x40 | second,
                    0x80 | second,
                    0x41 + first % 26,
                ],
            ]
            .concat();
            let _ = tree.insert(top, &name, file(b"x"));
        }
    }
    make_and_compare(tree);
}

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
fn attributes_of_all_forms() {
    let scratch = scratch();
    let mut tree = empty_tree();
    for length in [0, 1, 100, 255, 256, 3064, 3065, 4040, 4041, 20_000, 65_536] {
        for (name, mut inode) in [
            ("file", file(b"x")),
            ("directory", directory()),
            ("link", inode(Kind::Symlink([b'l'; 200][..].into()))),
            ("long-link", inode(Kind::Symlink([b'l'; 330][..].into()))),
            ("fifo", inode(Kind::Fifo)),
        ] {
            let prefix = if ["file", "directory"].contains(&name) {
                "user"
            } else {
                "trusted"
            };
            let value = vec![0x5a; length];
            inode.metadata.xattrs = vec![xattr(&format!("{prefix}.x"), &value)].into();
            let name = format!("{name}-{length}");
            tree.insert(InodeId::ROOT, name.as_bytes(), inode).unwrap();
        }
    }
    // Many, in one leaf and in a tree; and all kinds.
    for count in [5, 50, 500] {
        let mut file = file(b"x");
        let one = |number: usize| xattr(&format!("user.{number:05}"), &vec![7; number % 600]);
        file.metadata.xattrs = (0..count).map(one).collect::<Vec<_>>().into();
        tree.insert(InodeId::ROOT, format!("{count}").as_bytes(), file)
            .unwrap();
    }
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
    let mut all = directory();
    all.metadata.xattrs = vec![
        xattr("security.capability", &capability),
        xattr("security.selinux", b"system_u:object_r:bin_t:s0\0"),
        xattr("system.posix_acl_access", &acl(&access)),
        xattr("system.posix_acl_default", &acl(&access)),
        xattr("trusted.overlay.opaque", b"y"),
        xattr("user.mime_type", b"text/plain"),
    ]
    .into();
    let top = tree.insert(InodeId::ROOT, b"all", all).unwrap();
    for number in 0..10 {
        let name = format!("entry-{number}");
        tree.insert(top, name.as_bytes(), file(b"")).unwrap();
    }
    let tree = Arc::new(tree);
    let length = count(&tree).smallest(16 * MIB).unwrap();
    let image = make(scratch.path(), &tree, length);
    let mounted = mount(&image, "rw");
    compare_names(mounted.path(), &tree, 0);
    // Attributes grow, shrink and go.
    for entry in fs::read_dir(mounted.path()).unwrap() {
        let path = entry.unwrap().path();
        xattr::set(&path, "trusted.more", &[1; 100]).unwrap();
        xattr::set(&path, "trusted.long", &[1; 5000]).unwrap();
        for name in xattr::list(&path).unwrap() {
            if !name.to_string_lossy().contains("more") && !name.to_string_lossy().contains("SGI") {
                xattr::remove(&path, name).unwrap();
            }
        }
    }
    mounted.unmount();
    check(&image);
}

#[test]
fn link_targets_times_flags_devices_owners_and_modes() {
    let mut tree = empty_tree();
    for length in [1, 335, 336, 337, 1022, 1023] {
        let link = inode(Kind::Symlink(vec![0xe9; length].into()));
        tree.insert(InodeId::ROOT, format!("link-{length}").as_bytes(), link)
            .unwrap();
    }
    for (number, seconds) in [
        -(1i64 << 31),
        -1,
        0,
        1 << 31,
        1 << 33,
        18_446_744_072 - (1 << 31),
    ]
    .into_iter()
    .enumerate()
    {
        let mut file = file(b"x");
        file.metadata.mtime = Timestamp {
            seconds,
            nanoseconds: 999_999_999,
        };
        tree.insert(InodeId::ROOT, format!("time-{number}").as_bytes(), file)
            .unwrap();
    }
    for (number, (major, minor)) in [(0, 0), (255, 255), (256, 0), (0, 256), (511, 262_143)]
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
    for mode in (0..0o10000).step_by(37) {
        let mut file = file(b"");
        file.metadata.mode = mode;
        file.metadata.uid = u32::MAX - 1 - u32::from(mode);
        file.metadata.gid = u32::MAX - 1;
        tree.insert(InodeId::ROOT, format!("{mode:o}").as_bytes(), file)
            .unwrap();
    }
    tree.insert(InodeId::ROOT, b"socket", inode(Kind::Socket))
        .unwrap();
    let mut flagged = file(b"x");
    flagged.metadata.flags = Flags::of_file(0xf8);
    tree.insert(InodeId::ROOT, b"flags", flagged).unwrap();
    let scratch = scratch();
    let tree = Arc::new(tree);
    let image = make(scratch.path(), &tree, 300 * MIB);
    let mounted = mount(&image, "ro");
    compare_names(mounted.path(), &tree, 0);
    let listed = stdout(command("lsattr").arg(mounted.path().join("flags")));
    let letters: String = listed.split(' ').next().unwrap().replace('-', "");
    assert_eq!(letters, "SiadA");
    mounted.unmount();
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
fn long_files_cross_groups_and_extents_of_8_gib() {
    let scratch = scratch();
    let mut tree = empty_tree();
    let mut known = Vec::new();
    for size in [(1 << 31) - 1, 1 << 32, 40 * GIB + 1, 1 << 40] {
        let id = tree
            .insert(
                InodeId::ROOT,
                size.to_string().as_bytes(),
                inode(long_file(size, None)),
            )
            .unwrap();
        known.push((id, 0, &b"first"[..]));
        known.push((id, size - 5, b"last."));
    }
    // A hole up to nearly the longest size.
    let size = (1 << 63) - 1;
    let range = |offset, length| DataRange { offset, length };
    let sparse = long_file(size, Some(vec![range(0, 10), range(size - 5, 5)]));
    let id = tree
        .insert(InodeId::ROOT, size.to_string().as_bytes(), inode(sparse))
        .unwrap();
    known.push((id, 0, b"first"));
    known.push((id, size - 5, b"last."));
    let tree = Arc::new(tree);
    let plan = plan(&tree, count(&tree).smallest(0).unwrap()).unwrap();
    check_plan(plan.as_ref());
    let image = write_sparsely(scratch.path(), &tree, plan.as_ref(), &known);
    check(&image);
    let mounted = mount(&image, "ro");
    compare_names(mounted.path(), &tree, 0);
    tree.walk(|name, id| {
        let Kind::File(content) = &tree.inode(id).kind else {
            return;
        };
        let path = mounted.path().join(std::str::from_utf8(name).unwrap());
        let file = File::open(path).unwrap();
        let mut bytes = [0; 5];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"first");
        file.read_exact_at(&mut bytes, content.size - 5).unwrap();
        assert_eq!(&bytes, b"last.");
    });
    mounted.unmount();
}

/// Numbers of extents, and the form: 21 fit in an inode, and 251 in a block, of which 20 are found
/// from the inode.
const STRIPED: [(u64, &str); 7] = [
    (21, "extents"),
    (22, "btree"),
    (251, "btree"),
    (252, "btree"),
    (5020, "btree"),
    (5021, "btree"),
    (20_000, "btree"),
];

#[test]
fn extents_in_inodes_and_in_trees_of_one_and_two_levels() {
    let scratch = scratch();
    let mut tree = empty_tree();
    let mut known = Vec::new();
    for (blocks, _) in STRIPED {
        for with_attributes in [false, true] {
            let data = (0..blocks).map(|number| DataRange {
                offset: number * 8192,
                length: 4096,
            });
            let mut file = inode(long_file(blocks * 8192, Some(data.collect())));
            if with_attributes {
                file.metadata.xattrs = vec![xattr("user.x", b"y")].into();
            }
            let name = format!("{blocks}-{with_attributes}");
            let id = tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
            for place in [0, blocks / 2, blocks - 1] {
                known.push((id, place * 8192, (place + 1).to_le_bytes()));
            }
        }
    }
    let tree = Arc::new(tree);
    let plan = plan(&tree, count(&tree).smallest(16 * MIB).unwrap()).unwrap();
    check_plan(plan.as_ref());
    let known: Vec<_> = known
        .iter()
        .map(|(id, at, bytes)| (*id, *at, &bytes[..]))
        .collect();
    let image = write_sparsely(scratch.path(), &tree, plan.as_ref(), &known);
    check(&image);
    let mounted = mount(&image, "rw");
    compare_names(mounted.path(), &tree, 0);
    for (blocks, form) in STRIPED {
        for with_attributes in [false, true] {
            let path = mounted.path().join(format!("{blocks}-{with_attributes}"));
            if !with_attributes {
                let text = shown(&image, &path);
                assert!(text.contains(&format!("({form})")), "{text}");
            }
            let file = File::options().read(true).write(true).open(&path).unwrap();
            for place in [0, blocks / 2, blocks - 1] {
                let mut bytes = [0; 8];
                file.read_exact_at(&mut bytes, place * 8192).unwrap();
                assert_eq!(u64::from_le_bytes(bytes), place + 1, "{blocks}");
            }
            // Fills holes and cuts the file.
            for place in (0..blocks).step_by(7) {
                file.write_all_at(&[9; 4096], place * 8192 + 4096).unwrap();
            }
            file.set_len(blocks / 2 * 8192).unwrap();
        }
    }
    mounted.unmount();
    check(&image);
}

#[test]
fn many_files_fill_several_groups_with_inodes() {
    let number: usize = match std::env::var("XFS_FILES") {
        Ok(number) => number.parse().expect("XFS_FILES is a number"),
        Err(_) => 20_000,
    };
    let scratch = scratch();
    let mut tree = empty_tree();
    let bytes: Arc<[u8]> = b"contents"[..].into();
    let mut top = InodeId::ROOT;
    for at in 0..number {
        if at % 1000 == 0 {
            let name = format!("directory-{at}");
            top = tree
                .insert(InodeId::ROOT, name.as_bytes(), directory())
                .unwrap();
        }
        let content = Content {
            size: 8,
            source: Source::Bytes(Arc::clone(&bytes)),
            data: None,
        };
        let name = format!("file-{at}");
        tree.insert(top, name.as_bytes(), inode(Kind::File(content)))
            .unwrap();
    }
    let tree = Arc::new(tree);
    let length = count(&tree).smallest(0).unwrap();
    let image = make(scratch.path(), &tree, length);
    let mounted = mount(&image, "rw");
    compare_names(mounted.path(), &tree, 0);
    stdout(
        command("sh")
            .args(["-c", "rm -r \"$1\"/*", "-"])
            .arg(mounted.path()),
    );
    mounted.unmount();
    check(&image);
}

#[test]
fn grub_lists_and_reads_files() {
    let scratch = scratch();
    let mut tree = empty_tree();
    let boot = tree.insert(InodeId::ROOT, b"boot", directory()).unwrap();
    let bytes: Vec<u8> = (0..6_000_000u32)
        .flat_map(u32::to_le_bytes)
        .take(6_000_000)
        .collect();
    tree.insert(boot, b"kernel", file(&bytes)).unwrap();
    for (name, target) in [
        ("default", "kernel".to_owned()),
        ("long", "./".repeat(200) + "kernel"),
    ] {
        let link = inode(Kind::Symlink(target.into_bytes().into()));
        tree.insert(boot, name.as_bytes(), link).unwrap();
    }
    for (count, length) in [(20, 8), (100, 8), (400, 8), (4000, 100)] {
        let top = tree
            .insert(InodeId::ROOT, format!("{count}").as_bytes(), directory())
            .unwrap();
        for number in 0..count {
            let name = format!("{number:0>length$}");
            tree.insert(top, name.as_bytes(), file(name.as_bytes()))
                .unwrap();
        }
    }
    let tree = Arc::new(tree);
    let image = make(scratch.path(), &tree, 320 * MIB);
    let grub = |arguments: &[&str]| {
        let mut grub = next::program("usr/bin/grub-fstest");
        let output = grub.arg(&image).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output.stdout
    };
    let listed = String::from_utf8(grub(&["ls", "/boot"])).unwrap();
    assert!(
        listed.contains("kernel") && listed.contains("default"),
        "{listed}"
    );
    for name in ["kernel", "default", "long"] {
        let read = grub(&["cat", &format!("/boot/{name}")]);
        assert_eq!(Sha256::digest(&read), Sha256::digest(&bytes), "{name}");
    }
    for (count, length) in [(20, 8), (100, 8), (400, 8), (4000, 100)] {
        let listed = String::from_utf8(grub(&["ls", &format!("/{count}")])).unwrap();
        assert_eq!(listed.split_whitespace().count(), count, "{listed}");
        let name = format!("{:0>length$}", count - 1);
        assert_eq!(grub(&["cat", &format!("/{count}/{name}")]), name.as_bytes());
    }
}
