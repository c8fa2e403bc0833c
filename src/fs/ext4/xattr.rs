//! Extended attributes: in the inode as far as there is room, the rest in one block (kernel,
//! Documentation/filesystems/ext4/attributes.rst).

use std::borrow::Cow;

use zerocopy::FromZeros;
use zerocopy::little_endian::U32;

use super::acl;
use super::checksum::Seed;
use super::features::Features;
use super::ondisk::{Block, InodeRecord, XattrEntry, XattrHeader, XattrIbodyHeader, put};
use crate::escape;
use crate::fs::number::{TooWide, le8, le16, le32};
use crate::tree::Xattr;

/// Number of zero bytes after the last entry.
const END: usize = 4;

/// Space for entries and values in an inode and in a block.
const INODE_SPACE: usize = InodeRecord::IBODY_SIZE - size_of::<XattrIbodyHeader>() - END;
const BLOCK_SPACE: usize = size_of::<Block>() - size_of::<XattrHeader>() - END;

/// Prefixes of names, the numbers that represent them, and whether they are whole names.
const PREFIXES: [(&[u8], u8, bool); 5] = [
    (b"user.", 1, false),
    (b"system.posix_acl_access", 2, true),
    (b"system.posix_acl_default", 3, true),
    (b"trusted.", 4, false),
    (b"security.", 6, false),
];

/// An attribute in its on-disk form.
struct Entry<'a> {
    prefix: u8,
    name: &'a [u8],
    value: Cow<'a, [u8]>,
}

impl Entry<'_> {
    fn length(&self) -> usize {
        size_of::<XattrEntry>() + self.name.len().next_multiple_of(4)
    }

    fn total(&self) -> usize {
        self.length() + self.value.len().next_multiple_of(4)
    }

    /// The hash by which the kernel finds equal attributes (`ext4_xattr_hash_entry` in
    /// fs/ext4/xattr.c).
    fn hash(&self) -> u32 {
        let name = self
            .name
            .iter()
            .fold(0u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
        self.value.chunks(4).fold(name, |hash, bytes| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }

    /// Writes the entry to `area` at `at` and its value before `value_at`. Advances both offsets.
    fn write(
        &self,
        area: &mut [u8],
        at: &mut usize,
        value_at: &mut usize,
        hash: u32,
    ) -> Result<(), TooWide> {
        let mut entry = XattrEntry::new_zeroed();
        entry.e_name_len = le8(self.name.len())?;
        entry.e_name_index = self.prefix;
        if !self.value.is_empty() {
            *value_at -= self.value.len().next_multiple_of(4);
            entry.e_value_offs = le16(*value_at)?;
            put(area, *value_at, &*self.value);
        }
        entry.e_value_size = le32(self.value.len())?;
        entry.e_hash = U32::new(hash);
        put(area, *at, &entry);
        put(area, *at + size_of_val(&entry), self.name);
        *at += self.length();
        Ok(())
    }
}

/// The attributes of one inode, sorted and divided between the inode and the block.
pub struct Attributes<'a> {
    in_inode: Vec<Entry<'a>>,
    in_block: Vec<Entry<'a>>,
}

impl<'a> Attributes<'a> {
    /// Divides `xattrs` between the inode, if the type has attributes there, and the block.
    ///
    /// # Errors
    /// If the type does not support a name, an ACL is malformed, or the attributes need too much space.
    pub fn new(xattrs: &'a [Xattr], features: &Features) -> Result<Attributes<'a>, String> {
        let entries = xattrs.iter().map(|xattr| entry(xattr, features.name));
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        // The order in which the kernel searches a block.
        entries.sort_by(|a, b| {
            (a.prefix, a.name.len(), a.name).cmp(&(b.prefix, b.name.len(), b.name))
        });
        let mut attributes = Attributes {
            in_inode: Vec::new(),
            in_block: Vec::new(),
        };
        let mut inode_space = match features.attributes_in_inodes {
            true => INODE_SPACE,
            false => 0,
        };
        let mut taken = 0;
        for entry in entries {
            if entry.total() <= inode_space {
                inode_space -= entry.total();
                attributes.in_inode.push(entry);
            } else {
                taken += entry.total();
                attributes.in_block.push(entry);
            }
        }
        if taken > BLOCK_SPACE {
            return Err(format!(
                "extended attributes need {taken} bytes outside the inode; {}'s limit is {BLOCK_SPACE}",
                features.name
            ));
        }
        Ok(attributes)
    }

    /// Returns whether a block is needed.
    pub fn needs_block(&self) -> bool {
        !self.in_block.is_empty()
    }

    /// Writes the attributes in the inode to its `ibody`.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn write_inode(&self, ibody: &mut [u8]) -> Result<(), TooWide> {
        if self.in_inode.is_empty() {
            return Ok(());
        }
        let header = XattrIbodyHeader {
            h_magic: XattrIbodyHeader::MAGIC,
        };
        put(ibody, 0, &header);
        let space = &mut ibody[size_of_val(&header)..];
        let mut at = 0;
        let mut value_at = space.len();
        for entry in &self.in_inode {
            // The kernel leaves the hashes of attributes in inodes at zero.
            entry.write(space, &mut at, &mut value_at, 0)?;
        }
        Ok(())
    }

    /// Returns the block, whose number is `number`.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn block(&self, number: u64, seed: Seed) -> Result<Block, TooWide> {
        let mut block = Block::new_zeroed();
        let mut at = size_of::<XattrHeader>();
        let mut value_at = block.len();
        let mut hash = 0u32;
        for entry in &self.in_block {
            let entry_hash = entry.hash();
            entry.write(&mut block, &mut at, &mut value_at, entry_hash)?;
            hash = hash.rotate_left(16) ^ entry_hash;
        }
        let mut header = XattrHeader::new_zeroed();
        header.h_magic = XattrHeader::MAGIC;
        header.h_refcount = U32::new(1);
        header.h_blocks = U32::new(1);
        header.h_hash = U32::new(hash);
        put(&mut block, 0, &header);
        let checksum = seed.then(&number.to_le_bytes()).then(&block);
        header.h_checksum = U32::new(checksum.value());
        put(&mut block, 0, &header);
        Ok(block)
    }
}

fn entry<'a>(xattr: &'a Xattr, name_of_type: &str) -> Result<Entry<'a>, String> {
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
                "the extended attribute {shown} has a name of {} bytes after its prefix; {name_of_type}'s limit is 255",
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
        "{name_of_type} does not support the extended attribute {shown}"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::features::{EXT2, EXT4};
    use super::*;

    fn xattr(name: &str, value: &[u8]) -> Xattr {
        Xattr {
            name: name.as_bytes().into(),
            value: value.into(),
        }
    }

    #[test]
    fn fills_the_inode_before_the_block() {
        // 96 bytes minus the magic number and the end leave 88. The entry with the name `x` takes
        // 16 + 4.
        let value = [7; 68];
        let xattrs = [xattr("user.x", &value)];
        assert!(!Attributes::new(&xattrs, &EXT4).unwrap().needs_block());
        assert!(Attributes::new(&xattrs, &EXT2).unwrap().needs_block());
        let xattrs = [xattr("user.x", &[7; 69])];
        assert!(Attributes::new(&xattrs, &EXT4).unwrap().needs_block());
    }

    #[test]
    fn reports_exceeded_limits() {
        let long = format!("user.{}", "x".repeat(256));
        for (xattrs, message) in [
            (
                vec![xattr("user.x", &[0; 4041])],
                "extended attributes need 4064 bytes outside the inode; ext4's limit is 4060",
            ),
            (
                vec![xattr("foo.x", b"")],
                "ext4 does not support the extended attribute foo.x",
            ),
            (
                vec![xattr("user.", b"")],
                "ext4 does not support the extended attribute user.",
            ),
            (
                vec![xattr("system.posix_acl_access", b"")],
                "system.posix_acl_access: 0 bytes are too few for an ACL",
            ),
        ] {
            assert_eq!(Attributes::new(&xattrs, &EXT4).err().unwrap(), message);
        }
        let xattrs = [xattr(&long, b"")];
        let error = Attributes::new(&xattrs, &EXT4).err().unwrap();
        assert!(error.ends_with("256 bytes after its prefix; ext4's limit is 255"));
        let xattrs = [xattr("user.x", &[0; 4040])];
        assert!(Attributes::new(&xattrs, &EXT4).unwrap().needs_block());
    }
}
