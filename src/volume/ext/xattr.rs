//! Extended attributes.

use anyhow::{Context, Result, ensure};
use zerocopy::{FromBytes, IntoBytes};

use super::Ext;
use super::inode::Inode;
use crate::fs::ext4::ondisk::{XattrEntry, XattrHeader, XattrIbodyHeader};
use crate::volume::contents::Contents;
use crate::volume::node::{FileSystem, Node};

/// Prefixes of names, by number (kernel, Documentation/filesystems/ext4/attributes.rst).
const PREFIXES: [&str; 9] = [
    "",
    "user.",
    "system.posix_acl_access",
    "system.posix_acl_default",
    "trusted.",
    "lustre.",
    "security.",
    "system.",
    "system.richacl",
];

/// The longest value in an inode of its own, in bytes (`EXT4_XATTR_SIZE_MAX` is larger, but the kernel's
/// interface is not).
const LONGEST_VALUE: u32 = 64 << 10;

/// The attributes of `inode`, sorted by name.
///
/// # Errors
/// If they are damaged.
pub fn read(ext: &Ext<'_>, inode: &Inode) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    let start = 128_usize.saturating_add(inode.fields.i_extra_isize.get().into());
    if let Some(body) = inode.bytes.get(start..)
        && inode.bytes.len() > 128
        && body.starts_with(XattrIbodyHeader::MAGIC.as_bytes())
    {
        let entries = &body[4..];
        parse(ext, entries, entries, &mut found).context("reading those in the inode")?;
    }
    let block = inode.attribute_block();
    if block != 0 {
        let block = ext.block(block, "the block of extended attributes")?;
        let (header, entries) = XattrHeader::read_from_prefix(&block)
            .ok()
            .context("the block is too short")?;
        ensure!(
            header.h_magic == XattrHeader::MAGIC,
            "the block of extended attributes has no signature: the file system is damaged"
        );
        parse(ext, entries, &block, &mut found).context("reading those in their block")?;
    }
    found.sort();
    Ok(found)
}

/// Reads entries, whose values are at offsets in `values`.
fn parse(
    ext: &Ext<'_>,
    entries: &[u8],
    values: &[u8],
    found: &mut Vec<(Vec<u8>, Vec<u8>)>,
) -> Result<()> {
    let mut rest = entries;
    // The list ends with four zeros, or where no other entry fits.
    while rest
        .first_chunk::<4>()
        .is_some_and(|start| *start != [0; 4])
    {
        let Ok((entry, after)) = XattrEntry::read_from_prefix(rest) else {
            break;
        };
        let length = usize::from(entry.e_name_len);
        let name = after
            .get(..length)
            .context("a name is too long: the file system is damaged")?;
        let index = usize::from(entry.e_name_index);
        let prefix = PREFIXES.get(index).copied().unwrap_or("unknown.");
        let size = entry.e_value_size.get();
        let value = match entry.e_value_inum.get() {
            0 => {
                let start = usize::from(entry.e_value_offs.get());
                let end = start.saturating_add(usize::try_from(size)?);
                let value = values
                    .get(start..end)
                    .context("a value is outside: the file system is damaged")?;
                value.to_vec()
            }
            inode => in_inode(ext, inode.into(), size)?,
        };
        found.push(([prefix.as_bytes(), name].concat(), value));
        let next = size_of::<XattrEntry>()
            .saturating_add(length)
            .next_multiple_of(4);
        rest = rest.get(next..).unwrap_or_default();
    }
    Ok(())
}

/// The value in an inode of its own (feature `ea_inode`).
fn in_inode(ext: &Ext<'_>, inode: u64, size: u32) -> Result<Vec<u8>> {
    ensure!(
        size <= LONGEST_VALUE,
        "a value has {size} bytes, but at most {LONGEST_VALUE} are supported"
    );
    let contents: Contents = ext.contents(Node { id: inode })?;
    let mut value = vec![0; usize::try_from(size)?];
    contents.read(&ext.region, 0, &mut value)?;
    Ok(value)
}
