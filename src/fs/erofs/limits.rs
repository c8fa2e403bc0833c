//! What EROFS can't store. Its own limits are generous; most of these are Linux's.

use super::xattr;
use crate::fs::content::check_ranges;
use crate::tree::{Content, Inode, Kind};

const LONGEST_NAME: usize = 255;
const LONGEST_SYMLINK: usize = 4095;
/// Offsets in files are signed.
const LONGEST_FILE: u64 = i64::MAX as u64; // i64 to u64: lossless

/// Describes the problem with the name of an entry, if there is one.
pub fn name(name: &[u8]) -> Option<String> {
    (name.len() > LONGEST_NAME).then(|| {
        format!(
            "the name has {} bytes; EROFS's limit is {LONGEST_NAME}",
            name.len()
        )
    })
}

/// Describes all problems with an inode.
pub fn inode(inode: &Inode, problem: &mut dyn FnMut(String)) {
    let metadata = &inode.metadata;
    for (field, id) in [("owner", metadata.uid), ("group", metadata.gid)] {
        if id == u32::MAX {
            problem(format!("the {field} ID is {id}; the limit is {}", id - 1));
        }
    }
    if metadata.mtime.nanoseconds >= 1_000_000_000 {
        problem(format!(
            "the time has {} ns; the limit is 999999999",
            metadata.mtime.nanoseconds
        ));
    }
    xattr::check(&metadata.xattrs, problem);
    match &inode.kind {
        Kind::File(content) => file(content, problem),
        Kind::Symlink(target) => symlink(target, problem),
        Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
            if device.major >= 1 << 12 || device.minor >= 1 << 20 {
                problem(format!(
                    "the device number is {}:{}; Linux's limit is 4095:1048575",
                    device.major, device.minor
                ));
            }
        }
        Kind::Directory(_) | Kind::Fifo | Kind::Socket => {}
    }
}

fn symlink(target: &[u8], problem: &mut dyn FnMut(String)) {
    if target.is_empty() || target.contains(&0) {
        problem("the link target is empty or contains a NUL".to_owned());
    }
    if target.len() > LONGEST_SYMLINK {
        problem(format!(
            "the link target has {} bytes; EROFS's limit is {LONGEST_SYMLINK}",
            target.len()
        ));
    }
}

fn file(content: &Content, problem: &mut dyn FnMut(String)) {
    if content.size > LONGEST_FILE {
        return problem(format!(
            "the file has {} bytes; EROFS's limit is {LONGEST_FILE}",
            content.size
        ));
    }
    if let Err(found) = check_ranges(content) {
        problem(found);
    }
}
