//! What squashfs or `sqfstar` can't store.

use super::xattr;
use crate::fs::content::check_ranges;
use crate::tree::{Content, Inode, Kind};

const LONGEST_NAME: usize = 255;
const LONGEST_SYMLINK: usize = 4095;
/// `sqfstar` counts the blocks of a file with 31 bits.
const MOST_BLOCKS: u64 = i32::MAX as u64; // i32 to u64: positive

/// Describes the problem with the name of an entry, if there is one.
pub fn name(name: &[u8]) -> Option<String> {
    (name.len() > LONGEST_NAME).then(|| {
        format!(
            "the name has {} bytes; squashfs's limit is {LONGEST_NAME}",
            name.len()
        )
    })
}

/// Describes all problems with an inode.
pub fn inode(inode: &Inode, block_size: u32, problem: &mut dyn FnMut(String)) {
    let metadata = &inode.metadata;
    for (field, id) in [("owner", metadata.uid), ("group", metadata.gid)] {
        if id == u32::MAX {
            problem(format!("the {field} ID is {id}; the limit is {}", id - 1));
        }
    }
    if u32::try_from(metadata.mtime.seconds).is_err() {
        problem(format!(
            "the time is {} s after 1970; squashfs's range is 0 to {}",
            metadata.mtime.seconds,
            u32::MAX
        ));
    }
    xattr::check(&metadata.xattrs, problem);
    match &inode.kind {
        Kind::File(content) => file(content, block_size, problem),
        Kind::Symlink(target) => {
            if target.is_empty() || target.contains(&0) {
                problem("the link target is empty or contains a NUL".to_owned());
            }
            if target.len() > LONGEST_SYMLINK {
                problem(format!(
                    "the link target has {} bytes; squashfs's limit is {LONGEST_SYMLINK}",
                    target.len()
                ));
            }
        }
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

fn file(content: &Content, block_size: u32, problem: &mut dyn FnMut(String)) {
    let longest = MOST_BLOCKS * u64::from(block_size);
    if content.size > longest {
        problem(format!(
            "the file has {} bytes; sqfstar's limit with blocks of {block_size} bytes is {longest}",
            content.size
        ));
    }
    if let Err(found) = check_ranges(content) {
        problem(found);
    }
}
