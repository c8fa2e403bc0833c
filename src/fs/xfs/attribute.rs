//! Extended attributes: in the inode, or in a tree of hashes with long values in blocks of their own
//! (kernel, fs/xfs/libxfs/xfs_attr*.c).

use std::borrow::Cow;

use anyhow::Result;
use zerocopy::FromZeros;
use zerocopy::big_endian::{U32, U64};

use super::acl;
use super::hash::hash;
use super::head::{Emit, Head};
use super::index::{self, Index};
use super::ondisk::{
    AttrLeafHeader, AttrRemoteHeader, BlkInfo, Block, LeafEntry, attr_flags, be16, be32, put,
};
use crate::escape;
use crate::fs::number::{TooWide, le8};
use crate::tree::Xattr;

const BLOCK: usize = size_of::<Block>();
const LEAF_HEADER: usize = size_of::<AttrLeafHeader>();
const LEAF_ENTRY: usize = size_of::<LeafEntry>();
/// Bytes of a value in each of its blocks.
const VALUE_SPACE: usize = BLOCK - size_of::<AttrRemoteHeader>();
/// Size of the header of attributes in an inode, and of each without its name and value.
const SHORT_HEADER: usize = 4;
const SHORT_ENTRY: usize = 3;
/// Names and values in an inode are shorter than this (`XFS_ATTR_SF_ENTSIZE_MAX`).
const SHORT_LIMIT: usize = 256;
/// A value stays in the leaf if it needs less than this together with its name
/// (`xfs_attr_leaf_entsize_local_max`).
const LOCAL_LIMIT: usize = BLOCK / 2 + BLOCK / 4;
/// `XFS_XATTR_SIZE_MAX`: length of the longest value.
const LONGEST_VALUE: usize = 1 << 16;
const LONGEST_NAME: usize = 255;
/// The most blocks for the attributes of an inode: a limit of this writer, which stores their extents
/// in the inode.
const MOST_BLOCKS: u64 = 16_384;

/// Prefixes of names and their flags.
const PREFIXES: [(&[u8], u8); 3] = [
    (b"user.", 0),
    (b"trusted.", attr_flags::ROOT),
    (b"security.", attr_flags::SECURE),
];

/// Access control lists: their names in system calls and on disk.
const ACLS: [(&[u8], &[u8]); 2] = [
    (b"system.posix_acl_access", b"SGI_ACL_FILE"),
    (b"system.posix_acl_default", b"SGI_ACL_DEFAULT"),
];

/// An attribute in its on-disk form.
struct Entry<'a> {
    hash: u32,
    flags: u8,
    name: &'a [u8],
    value: Cow<'a, [u8]>,
}

impl Entry<'_> {
    fn local_size(&self) -> usize {
        (3 + self.name.len() + self.value.len()).next_multiple_of(4)
    }

    fn is_local(&self) -> bool {
        self.local_size() < LOCAL_LIMIT
    }

    /// Size of the name, and of the value if it is local, in a leaf.
    fn size(&self) -> usize {
        match self.is_local() {
            true => self.local_size(),
            false => (11 + self.name.len()).next_multiple_of(4),
        }
    }

    /// Number of blocks of the value.
    fn blocks(&self) -> u64 {
        match self.is_local() {
            true => 0,
            // usize to u64: lossless.
            false => self.value.len().div_ceil(VALUE_SPACE) as u64,
        }
    }
}

/// The attributes of one inode, sorted by hash.
#[derive(Default)]
pub struct Attributes<'a> {
    entries: Vec<Entry<'a>>,
}

impl<'a> Attributes<'a> {
    /// Converts `xattrs`.
    ///
    /// # Errors
    /// If XFS does not support a name or value, or an ACL is malformed.
    pub fn new(xattrs: &'a [Xattr]) -> Result<Attributes<'a>, String> {
        let mut entries = Vec::with_capacity(xattrs.len());
        for xattr in xattrs {
            if !is_alias(xattr, xattrs) {
                entries.push(entry(xattr)?);
            }
        }
        entries
            .sort_by(|a: &Entry<'_>, b| (a.hash, a.flags, a.name).cmp(&(b.hash, b.flags, b.name)));
        let attributes = Attributes { entries };
        if attributes.short_size().is_none() && attributes.blocks() > MOST_BLOCKS {
            return Err(format!(
                "extended attributes need {} blocks of 4 KiB; this XFS writer's limit is {MOST_BLOCKS}",
                attributes.blocks()
            ));
        }
        Ok(attributes)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the size in the inode, or `None` if an attribute is too long for that.
    pub fn short_size(&self) -> Option<usize> {
        let mut size = SHORT_HEADER;
        for Entry { name, value, .. } in &self.entries {
            if name.len() >= SHORT_LIMIT || value.len() >= SHORT_LIMIT {
                return None;
            }
            size += SHORT_ENTRY + name.len() + value.len();
        }
        Some(size)
    }

    /// Returns the number of blocks if they are not in the inode.
    pub fn blocks(&self) -> u64 {
        // usize to u64: lossless.
        let tree = index::blocks(self.leaves().len() as u64);
        tree + self.entries.iter().map(Entry::blocks).sum::<u64>()
    }

    /// Returns the attributes in the form for the inode.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn short(&self) -> Result<Vec<u8>, TooWide> {
        let size = self.short_size().unwrap_or_default();
        let mut bytes = be16(size)?.to_bytes().to_vec();
        bytes.extend_from_slice(&[le8(self.entries.len())?, 0]);
        for entry in &self.entries {
            let lengths = [le8(entry.name.len())?, le8(entry.value.len())?, entry.flags];
            bytes.extend_from_slice(&lengths);
            bytes.extend_from_slice(entry.name);
            bytes.extend_from_slice(&entry.value);
        }
        Ok(bytes)
    }

    /// Passes the blocks of the attributes of the inode `owner` to `emit`: the tree, and then the
    /// values that are not in it.
    ///
    /// # Errors
    /// Those of `emit`, and if a number is too large for its field.
    pub fn write(&self, owner: u64, uuid: &[u8; 16], emit: &mut Emit<'_>) -> Result<()> {
        let leaves = self.leaves();
        let highest = leaves.iter().map(|leaf| {
            let last = self.entries[leaf.clone()].last();
            U32::new(last.map_or(0, |entry| entry.hash))
        });
        let tree = Index::new(highest.collect(), 0);
        // usize to u64: lossless.
        let mut value_block = index::blocks(leaves.len() as u64);
        for position in tree.positions() {
            let block = match position.level {
                0 => {
                    let info = tree.info(position, BlkInfo::ATTR_LEAF, owner, uuid)?;
                    leaf(
                        &self.entries[leaves[position.at].clone()],
                        info,
                        &mut value_block,
                    )?
                }
                _ => tree.node(position, owner, uuid)?,
            };
            emit(block, Head::Tree)?;
        }
        for entry in self.entries.iter().filter(|entry| !entry.is_local()) {
            for (at, part) in entry.value.chunks(VALUE_SPACE).enumerate() {
                let mut block = remote(AttrRemoteHeader::VALUE, part, owner, uuid)?;
                put(&mut block, 4, &be32(at * VALUE_SPACE)?);
                let lsn = std::mem::offset_of!(AttrRemoteHeader, lsn);
                put(&mut block, lsn, &U64::new(u64::MAX));
                emit(block, Head::Remote)?;
            }
        }
        Ok(())
    }

    /// Divides the attributes into leaves.
    fn leaves(&self) -> Vec<std::ops::Range<usize>> {
        let mut leaves = Vec::new();
        let (mut start, mut size) = (0, LEAF_HEADER);
        for (at, entry) in self.entries.iter().enumerate() {
            let own = LEAF_ENTRY + entry.size();
            if size + own > BLOCK {
                leaves.push(start..at);
                (start, size) = (at, LEAF_HEADER);
            }
            size += own;
        }
        leaves.push(start..self.entries.len());
        leaves
    }
}

/// Returns a leaf with `entries`, whose values begin at the block `value_block` of the attributes.
/// Advances this number past them.
fn leaf(entries: &[Entry<'_>], info: BlkInfo, value_block: &mut u64) -> Result<Block> {
    let mut block = Block::new_zeroed();
    let mut used = BLOCK;
    let mut at = LEAF_HEADER;
    for entry in entries {
        used -= entry.size();
        let (name, value) = (entry.name, &*entry.value);
        let mut flags = entry.flags;
        if entry.is_local() {
            flags |= attr_flags::LOCAL;
            put(&mut block, used, &be16(value.len())?);
            put(&mut block, used + 2, &[le8(name.len())?]);
            put(&mut block, used + 3, name);
            put(&mut block, used + 3 + name.len(), value);
        } else {
            put(&mut block, used, &be32(*value_block)?);
            put(&mut block, used + 4, &be32(value.len())?);
            put(&mut block, used + 8, &[le8(name.len())?]);
            put(&mut block, used + 9, name);
            *value_block += entry.blocks();
        }
        let record = LeafEntry {
            hashval: U32::new(entry.hash),
            nameidx: be16(used)?,
            flags,
            pad2: 0,
        };
        put(&mut block, at, &record);
        at += LEAF_ENTRY;
    }
    let mut header = AttrLeafHeader {
        info,
        count: be16(entries.len())?,
        usedbytes: be16(BLOCK - used)?,
        firstused: be16(used)?,
        ..AttrLeafHeader::new_zeroed()
    };
    header.freemap[0] = [be16(at)?, be16(used - at)?];
    put(&mut block, 0, &header);
    Ok(block)
}

/// Returns a block with a header of the kind `magic` and `bytes`, without its address and checksum.
///
/// # Errors
/// If a number is too large for its field.
pub fn remote(magic: U32, bytes: &[u8], owner: u64, uuid: &[u8; 16]) -> Result<Block, TooWide> {
    let mut block = Block::new_zeroed();
    let header = AttrRemoteHeader {
        magic,
        bytes: be32(bytes.len())?,
        uuid: *uuid,
        owner: U64::new(owner),
        ..AttrRemoteHeader::new_zeroed()
    };
    put(&mut block, 0, &header);
    put(&mut block, size_of_val(&header), bytes);
    Ok(block)
}

/// Whether `xattr` is the name under which Linux shows one of the access control lists of an XFS
/// file a second time.
fn is_alias(xattr: &Xattr, all: &[Xattr]) -> bool {
    let Some(own) = xattr.name.strip_prefix(b"trusted.") else {
        return false;
    };
    let acl = ACLS.iter().find(|(_, disk)| *disk == own);
    acl.is_some_and(|(name, _)| all.iter().any(|other| &*other.name == *name))
}

fn entry(xattr: &Xattr) -> Result<Entry<'_>, String> {
    let shown = || escape::bytes(&xattr.name);
    let (flags, name, value) = match ACLS.iter().find(|(name, _)| *name == &*xattr.name) {
        Some((_, disk)) => {
            let value =
                acl::to_disk(&xattr.value).map_err(|error| format!("{}: {error}", shown()))?;
            (attr_flags::ROOT, *disk, Cow::Owned(value))
        }
        None => {
            let known = PREFIXES.iter().find_map(|(prefix, flags)| {
                let name = xattr.name.strip_prefix(*prefix)?;
                Some((*flags, name))
            });
            let Some((flags, name)) = known else {
                return Err(format!("XFS does not support the attribute {}", shown()));
            };
            (flags, name, Cow::Borrowed(&*xattr.value))
        }
    };
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(format!(
            "the name of the attribute {} has {} bytes after its prefix; XFS's limits are 1 and {LONGEST_NAME}",
            shown(),
            name.len()
        ));
    }
    let is_acl = matches!(value, Cow::Owned(_));
    if !is_acl && flags == attr_flags::ROOT && ACLS.iter().any(|(_, disk)| *disk == name) {
        return Err(format!("XFS stores access control lists as {}", shown()));
    }
    if value.len() > LONGEST_VALUE {
        return Err(format!(
            "the attribute {} has {} bytes; XFS's limit is {LONGEST_VALUE}",
            shown(),
            value.len()
        ));
    }
    Ok(Entry {
        hash: hash(name),
        flags,
        name,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(name: &str, length: usize) -> Xattr {
        Xattr {
            name: name.as_bytes().into(),
            value: vec![b'v'; length].into(),
        }
    }

    #[test]
    fn short_attributes_have_lengths_names_and_values() {
        let xattrs = [xattr("trusted.t", 1), xattr("user.abc", 2)];
        let attributes = Attributes::new(&xattrs).unwrap();
        let bytes = attributes.short().unwrap();
        assert_eq!(bytes, b"\0\x11\x02\0\x01\x01\x02tv\x03\x02\0abcvv");
        assert_eq!(attributes.short_size(), Some(bytes.len()));
    }

    #[test]
    fn long_values_are_in_blocks_of_their_own() {
        for (length, short, blocks) in [
            (255, Some(263), 1),
            (256, None, 1),
            (3064, None, 1),
            (3065, None, 2),
            (4040, None, 2),
            (4041, None, 3),
            (65_536, None, 18),
        ] {
            let xattrs = [xattr("user.x", length)];
            let attributes = Attributes::new(&xattrs).unwrap();
            assert_eq!(attributes.short_size(), short, "{length}");
            assert_eq!(attributes.blocks(), blocks, "{length}");
            let mut count = 0;
            let mut emit = |_, _| {
                count += 1;
                Ok(())
            };
            attributes.write(131, &[0; 16], &mut emit).unwrap();
            assert_eq!(count, blocks);
        }
    }

    #[test]
    fn rejects_what_xfs_can_not_store() {
        for (xattr, message) in [
            (
                xattr("system.x", 1),
                "XFS does not support the attribute system.x",
            ),
            (
                xattr("user.", 1),
                "the name of the attribute user. has 0 bytes after its prefix; XFS's limits are 1 and 255",
            ),
            (
                xattr("user.x", 65_537),
                "the attribute user.x has 65537 bytes; XFS's limit is 65536",
            ),
            (
                xattr("trusted.SGI_ACL_FILE", 4),
                "XFS stores access control lists as trusted.SGI_ACL_FILE",
            ),
            (
                xattr("system.posix_acl_access", 3),
                "system.posix_acl_access: 3 bytes are too few for an ACL",
            ),
        ] {
            let xattrs = [xattr];
            let found = Attributes::new(&xattrs).err();
            assert_eq!(found.as_deref(), Some(message));
        }
    }

    #[test]
    fn the_second_name_of_an_acl_is_ignored() {
        let mut acl = xattr("system.posix_acl_access", 0);
        acl.value = [2, 0, 0, 0][..].into();
        let xattrs = [acl, xattr("trusted.SGI_ACL_FILE", 4)];
        assert_eq!(Attributes::new(&xattrs).unwrap().entries.len(), 1);
    }
}
