//! The kernel's view of an image: mounted on a loop device and compared with the tree.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

use make_disk_image::tree::{Inode, InodeId, Kind, Source, Tree};

use crate::common::mount::Mount;
use crate::common::{command, stdout};

pub fn mount(image: &Path) -> Mount {
    Mount::with(&["-t", "erofs", "-o", "loop,ro"], image)
}

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
        let links = match &inode.kind {
            Kind::Directory(directory) => {
                let is_directory = |(_, id)| tree.directory(id).is_some();
                2 + directory
                    .iter()
                    .filter(|&entry| is_directory(entry))
                    .count() as u64
            }
            _ => links[id.index()],
        };
        let number = compare_inode(&path, inode, Some(links));
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
    let expected = (
        metadata.mtime.seconds,
        i64::from(metadata.mtime.nanoseconds),
    );
    assert_eq!((stat.mtime(), stat.mtime_nsec()), expected, "{path:?}");
    assert_eq!((stat.ctime(), stat.ctime_nsec()), expected, "{path:?}");
    assert_eq!((stat.atime(), stat.atime_nsec()), expected, "{path:?}");
    if let Some(links) = links {
        assert_eq!(stat.nlink(), links, "{path:?}");
    }
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
            match &content.source {
                Source::Bytes(bytes) => compare_bytes(path, bytes, content.size),
                Source::File(file) => {
                    let expected = fs::read(file.path()).unwrap();
                    compare_bytes(path, &expected, content.size);
                }
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
        assert!(value.as_deref() == Some(&*xattr.value), "{path:?}");
    }
    stat.ino()
}

/// Compares the bytes of a file. If it ends in a hole, `bytes` are fewer than its size.
fn compare_bytes(path: &Path, bytes: &[u8], size: u64) {
    let file = fs::File::open(path).unwrap();
    let mut read = vec![0; bytes.len().min(usize::try_from(size).unwrap())];
    file.read_exact_at(&mut read, 0).unwrap();
    assert!(read == bytes[..read.len()], "{path:?}: other bytes");
}

/// Compares the bytes of a file that has not been read yet, from the end to the beginning, so that
/// the kernel decompresses parts of extents.
pub fn compare_backwards(path: &Path, bytes: &[u8]) {
    let file = fs::File::open(path).unwrap();
    let mut end = bytes.len();
    while end > 0 {
        let start = end.saturating_sub(3000);
        let mut part = vec![0; end - start];
        file.read_exact_at(&mut part, start as u64).unwrap();
        assert!(
            part == bytes[start..end],
            "{path:?}: other bytes at {start}"
        );
        // Not every page is read.
        end = start.saturating_sub(9000);
    }
}

/// Mounts the image of `tree` and compares.
pub fn mount_and_compare(image: &Path, tree: &Tree) {
    let mount = mount(image);
    compare(mount.path(), tree);
    mount.unmount();
}
