//! Extended attributes: in the inode as far as there is room, then in one block (kernel,
//! Documentation/filesystems/ext4/attributes.rst).

use std::borrow::Cow;

use super::acl;
use super::bytes::put;
use super::checksum::Seed;
use super::{BLOCK_SIZE, XATTR_ROOM};
use crate::escape;
use crate::tree::Xattr;

const MAGIC: u64 = 0xea02_0000;
const BLOCK_HEADER: usize = 32;
/// The zeros after the last entry.
const END: usize = 4;
const ENTRY: usize = 16;

/// Prefixes of names, the numbers that stand for them, and whether they are whole names.
const PREFIXES: [(&[u8], u8, bool); 5] = [
    (b"user.", 1, false),
    (b"system.posix_acl_access", 2, true),
    (b"system.posix_acl_default", 3, true),
    (b"trusted.", 4, false),
    (b"security.", 6, false),
];

/// An attribute as it is on disk.
struct Entry<'a> {
    prefix: u8,
    name: &'a [u8],
    value: Cow<'a, [u8]>,
}

impl Entry<'_> {
    fn length(&self) -> usize {
        ENTRY + self.name.len().next_multiple_of(4)
    }

    fn total(&self) -> usize {
        self.length() + self.value.len().next_multiple_of(4)
    }
}

/// The attributes of one inode, sorted, and split between the inode and the block.
pub struct Attributes<'a> {
    in_inode: Vec<Entry<'a>>,
    in_block: Vec<Entry<'a>>,
}

impl<'a> Attributes<'a> {
    /// Finds places for `xattrs`; what has none is told.
    ///
    /// # Errors
    /// A name that ext4 has no form for, a malformed ACL, or too much of everything.
    pub fn new(xattrs: &'a [Xattr]) -> Result<Attributes<'a>, String> {
        let mut entries = xattrs.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        // The order in which the kernel looks for them in a block.
        entries.sort_by(|a, b| {
            (a.prefix, a.name.len(), a.name).cmp(&(b.prefix, b.name.len(), b.name))
        });
        let mut attributes = Attributes {
            in_inode: Vec::new(),
            in_block: Vec::new(),
        };
        let mut inode_room = XATTR_ROOM - 4 - END;
        let room = BLOCK_SIZE - BLOCK_HEADER - END;
        let mut taken = 0;
        for entry in entries {
            if entry.total() <= inode_room {
                inode_room -= entry.total();
                attributes.in_inode.push(entry);
            } else {
                taken += entry.total();
                attributes.in_block.push(entry);
            }
        }
        if taken > room {
            return Err(format!(
                "extended attributes take {taken} bytes beyond those in the inode; ext4 has room for {room}"
            ));
        }
        Ok(attributes)
    }

    /// Whether a block is needed.
    pub fn needs_block(&self) -> bool {
        !self.in_block.is_empty()
    }

    /// Writes what is in the inode to `area`, the last [`XATTR_ROOM`] bytes of it.
    pub fn write_inode(&self, area: &mut [u8]) {
        if self.in_inode.is_empty() {
            return;
        }
        put(area, 0, 4, MAGIC);
        // The kernel leaves hashes of attributes in inodes zero.
        write(&self.in_inode, &mut area[4..], 0, false);
    }

    /// The block, which is the block number `number`.
    pub fn block(&self, number: u64, seed: Seed) -> Vec<u8> {
        let mut block = vec![0; BLOCK_SIZE];
        let hash = write(&self.in_block, &mut block, BLOCK_HEADER, true);
        put(&mut block, 0, 4, MAGIC);
        put(&mut block, 4, 4, 1); // how many inodes refer to it
        put(&mut block, 8, 4, 1); // how many blocks it is
        put(&mut block, 12, 4, u64::from(hash));
        let checksum = seed.then(&number.to_le_bytes()).then(&block).value();
        put(&mut block, 16, 4, u64::from(checksum));
        block
    }
}

/// Writes entries upwards from `at` and values downwards from the end of `area`, and returns the
/// hash of all of them.
fn write(entries: &[Entry<'_>], area: &mut [u8], mut at: usize, hashed: bool) -> u32 {
    let mut value_at = area.len();
    let mut hash = 0u32;
    for entry in entries {
        let name_end = at + ENTRY + entry.name.len();
        area[at + ENTRY..name_end].copy_from_slice(entry.name);
        // usize to u64: lossless.
        put(area, at, 1, entry.name.len() as u64);
        put(area, at + 1, 1, u64::from(entry.prefix));
        if !entry.value.is_empty() {
            value_at -= entry.value.len().next_multiple_of(4);
            area[value_at..value_at + entry.value.len()].copy_from_slice(&entry.value);
            put(area, at + 2, 2, value_at as u64);
        }
        put(area, at + 8, 4, entry.value.len() as u64);
        if hashed {
            let entry_hash = entry_hash(entry);
            put(area, at + 12, 4, u64::from(entry_hash));
            hash = hash.rotate_left(16) ^ entry_hash;
        }
        at += entry.length();
    }
    hash
}

fn entry_hash(entry: &Entry<'_>) -> u32 {
    let name = entry
        .name
        .iter()
        .fold(0u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
    entry.value.chunks(4).fold(name, |hash, bytes| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}

fn entry(xattr: &Xattr) -> Result<Entry<'_>, String> {
    let shown = escape::bytes(&xattr.name);
    for (prefix, number, whole) in PREFIXES {
        let Some(name) = xattr.name.strip_prefix(prefix) else {
            continue;
        };
        if whole != name.is_empty() {
            continue;
        }
        if name.len() > 255 {
            return Err(format!(
                "the extended attribute {shown} has a name of {} bytes after its prefix; ext4 holds 255",
                name.len()
            ));
        }
        let value = match whole {
            true => acl::to_disk(&xattr.value).map_err(|error| format!("{shown}: {error}"))?,
            false => {
                return Ok(Entry {
                    prefix: number,
                    name,
                    value: Cow::Borrowed(&xattr.value),
                });
            }
        };
        return Ok(Entry {
            prefix: number,
            name,
            value: Cow::Owned(value),
        });
    }
    Err(format!(
        "ext4 has no form for the extended attribute {shown}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(name: &str, value: &[u8]) -> Xattr {
        Xattr {
            name: name.as_bytes().into(),
            value: value.into(),
        }
    }

    #[test]
    fn the_inode_is_filled_before_the_block() {
        // 96 bytes, less the magic and the end: 88; 16 + 4 for `x`.
        let value = [7; 68];
        let xattrs = [xattr("user.x", &value)];
        assert!(!Attributes::new(&xattrs).unwrap().needs_block());
        let xattrs = [xattr("user.x", &[7; 69])];
        assert!(Attributes::new(&xattrs).unwrap().needs_block());
    }

    #[test]
    fn limits_are_told() {
        let long = format!("user.{}", "x".repeat(256));
        for (xattrs, message) in [
            (
                vec![xattr("user.x", &[0; 4041])],
                "extended attributes take 4064 bytes beyond those in the inode; ext4 has room for 4060",
            ),
            (
                vec![xattr("foo.x", b"")],
                "ext4 has no form for the extended attribute foo.x",
            ),
            (
                vec![xattr("user.", b"")],
                "ext4 has no form for the extended attribute user.",
            ),
            (
                vec![xattr("system.posix_acl_access", b"")],
                "system.posix_acl_access: an ACL of 0 bytes is no ACL",
            ),
        ] {
            assert_eq!(Attributes::new(&xattrs).err().unwrap(), message);
        }
        let xattrs = [xattr(&long, b"")];
        let error = Attributes::new(&xattrs).err().unwrap();
        assert!(error.ends_with("256 bytes after its prefix; ext4 holds 255"));
        let xattrs = [xattr("user.x", &[0; 4040])];
        assert!(Attributes::new(&xattrs).unwrap().needs_block());
    }
}
