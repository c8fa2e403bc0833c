//! The kernel's view of an image: mounted read-write on a loop device, compared with the tree, and
//! changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use make_disk_image::tree::{Inode, InodeId, Kind, Source, Tree};

use super::images::*;
use crate::common::{command, scratch, stdout};

/// Asserts that every name, mode, owner, time, link, attribute and byte below `top` is that of
/// `tree`, and that there is nothing else.
pub fn compare(top: &Path, tree: &Tree) {
    let mut links = vec![0u64; tree.inodes().len()];
    tree.walk(|_, id| links[id.index()] += 1);
    let mut seen = 0;
    let mut numbers = vec![0u64; tree.inodes().len()];
    compare_inode(top, tree.inode(InodeId::ROOT), None);
    tree.walk(|path, id| {
        let path = top.join(OsStr::from_bytes(path));
        let inode = tree.inode(id);
        let links = (!matches!(inode.kind, Kind::Directory(_))).then_some(links[id.index()]);
        let number = compare_inode(&path, inode, links);
        let known = &mut numbers[id.index()];
        assert!(*known == 0 || *known == number, "{path:?}: another inode");
        *known = number;
        seen += 1;
    });
    let listed = stdout(
        command("sh")
            .args(["-c", "find \"$1\" -printf x | wc -c", "-"])
            .arg(top),
    );
    assert_eq!(listed.trim().parse::<usize>().unwrap(), 1 + seen);
}

/// Compares one inode and returns its number.
fn compare_inode(path: &Path, inode: &Inode, links: Option<u64>) -> u64 {
    let stat = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let metadata = &inode.metadata;
    assert_eq!(stat.mode() & 0o7777, u32::from(metadata.mode), "{path:?}");
    assert_eq!((stat.uid(), stat.gid()), (metadata.uid, metadata.gid));
    let time = (stat.mtime(), stat.mtime_nsec());
    let expected = (
        metadata.mtime.seconds,
        i64::from(metadata.mtime.nanoseconds),
    );
    assert_eq!(time, expected, "{path:?}");
    assert_eq!((stat.ctime(), stat.ctime_nsec()), expected, "{path:?}");
    assert_eq!(stat.nlink(), links.unwrap_or(1), "{path:?}");
    let kind = stat.file_type();
    match &inode.kind {
        Kind::Directory(_) => assert!(kind.is_dir(), "{path:?}"),
        Kind::Symlink(target) => {
            assert_eq!(
                fs::read_link(path).unwrap().as_os_str().as_bytes(),
                &target[..]
            );
        }
        Kind::Fifo => assert!(kind.is_fifo()),
        Kind::Socket => assert!(kind.is_socket()),
        Kind::CharacterDevice(device) => {
            assert!(kind.is_char_device());
            let numbers = nix::sys::stat::makedev(device.major.into(), device.minor.into());
            assert_eq!(stat.rdev(), numbers, "{path:?}");
        }
        Kind::BlockDevice(device) => {
            assert!(kind.is_block_device());
            let numbers = nix::sys::stat::makedev(device.major.into(), device.minor.into());
            assert_eq!(stat.rdev(), numbers, "{path:?}");
        }
        Kind::File(content) => {
            assert!(kind.is_file());
            assert_eq!(stat.len(), content.size, "{path:?}");
            if let Source::Bytes(bytes) = &content.source {
                compare_bytes(path, bytes, content.size);
            }
        }
    }
    let mut names: Vec<Vec<u8>> = xattr::list(path)
        .unwrap()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    names.sort();
    let expected: Vec<&[u8]> = metadata.xattrs.iter().map(|xattr| &*xattr.name).collect();
    assert_eq!(names, expected, "{path:?}");
    for xattr in &metadata.xattrs {
        let value = xattr::get(path, OsStr::from_bytes(&xattr.name)).unwrap();
        assert_eq!(value.as_deref(), Some(&*xattr.value), "{path:?}");
    }
    stat.ino()
}

/// The bytes of a file in memory. If the file ends in a hole, they are fewer than its size.
fn compare_bytes(path: &Path, bytes: &[u8], size: u64) {
    let file = fs::File::open(path).unwrap();
    let mut read = vec![0; bytes.len().min(usize::try_from(size).unwrap())];
    file.read_exact_at(&mut read, 0).unwrap();
    assert!(read == bytes[..read.len()], "{path:?}: other bytes");
}

/// Mounts the image of `tree` and compares.
pub fn mount_and_compare(image: &Path, tree: &Tree) {
    let mount = mount(image, "ro");
    compare(mount.path(), tree);
    mount.unmount();
}

#[test]
fn big_directories_take_and_lose_files() {
    let directory = scratch();
    let mut tree = empty_tree();
    let mut tops = Vec::new();
    for (name, count, length) in [(&b"few"[..], 50usize, 8), (b"many", 4000, 240)] {
        let top = tree
            .insert(InodeId::ROOT, name, super::images::directory())
            .unwrap();
        for number in 0..count {
            let name = format!("{number:0>length$}");
            tree.insert(top, name.as_bytes(), file(b"")).unwrap();
        }
        tops.push((String::from_utf8(name.to_vec()).unwrap(), count, length));
    }
    let tree = Arc::new(tree);
    let image = make(directory.path(), &tree, smallest(&tree, 64 * MIB));
    let mount = mount(&image, "rw");
    compare(mount.path(), &tree);
    for (name, count, length) in &tops {
        let top = mount.path().join(name);
        for number in 0..*count {
            let old = top.join(format!("{number:0>length$}"));
            if number % 3 == 0 {
                fs::remove_file(&old).unwrap();
            } else if number % 3 == 1 {
                fs::rename(&old, top.join(format!("renamed-{number}"))).unwrap();
            }
        }
        for number in 0..300 {
            fs::write(top.join(format!("new-{number:0>200}")), b"new").unwrap();
        }
        let listed = fs::read_dir(&top).unwrap().count();
        assert_eq!(listed, count - count.div_ceil(3) + 300);
    }
    mount.unmount();
    check(&image);
}
