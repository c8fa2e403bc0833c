//! Extended attributes: one stream of entries, of which the first part is in the inode and the rest
//! in a node of its own (`fs/f2fs/xattr.h`).

use std::borrow::Cow;

use zerocopy::FromZeros;
use zerocopy::little_endian::U32;

use super::INLINE_XATTR;
use super::ondisk::{XattrEntry, XattrHeader, XattrNode, put};
use crate::escape;
use crate::fs::ext4::acl;
use crate::fs::number::{le8, le16};
use crate::tree::Xattr;

/// Bytes for entries.
const SPACE: usize = INLINE_XATTR + XattrNode::SPACE - size_of::<XattrHeader>();
/// Length of the longest value, as the kernel limits it (`MAX_VALUE_LEN`).
const LONGEST_VALUE: usize = SPACE - size_of::<XattrEntry>();
/// Length of the longest name after its prefix.
const LONGEST_NAME: usize = 255;

/// Prefixes of names, the numbers that represent them, and whether they are whole names.
const PREFIXES: [(&[u8], u8, bool); 5] = [
    (b"user.", 1, false),
    (b"system.posix_acl_access", 2, true),
    (b"system.posix_acl_default", 3, true),
    (b"trusted.", 4, false),
    (b"security.", 6, false),
];

/// Returns the stream of `xattrs`, of which the first [`INLINE_XATTR`] bytes belong in the inode, or
/// the reason why f2fs cannot store them. It is empty if there are none.
pub fn stream(xattrs: &[Xattr]) -> Result<Vec<u8>, String> {
    if xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut header = XattrHeader::new_zeroed();
    header.h_magic = XattrHeader::MAGIC;
    header.h_refcount = U32::new(1);
    let mut stream = vec![0; size_of_val(&header)];
    put(&mut stream, 0, &header);
    for xattr in xattrs {
        add(&mut stream, xattr)?;
    }
    let taken = stream.len() - size_of_val(&header);
    match taken <= SPACE {
        true => Ok(stream),
        false => Err(format!(
            "extended attributes need {taken} bytes; f2fs's limit is {SPACE}"
        )),
    }
}

fn add(stream: &mut Vec<u8>, xattr: &Xattr) -> Result<(), String> {
    let shown = escape::bytes(&xattr.name);
    let unsupported = || format!("f2fs does not support the extended attribute {shown}");
    let found = PREFIXES.iter().find_map(|&(prefix, number, whole)| {
        let name = xattr.name.strip_prefix(prefix)?;
        (whole == name.is_empty()).then_some((number, name, whole))
    });
    let (number, name, is_acl) = found.ok_or_else(unsupported)?;
    if name.len() > LONGEST_NAME {
        return Err(format!(
            "the extended attribute {shown} has a name of {} bytes after its prefix; f2fs's limit is \
             {LONGEST_NAME}",
            name.len()
        ));
    }
    let value = match is_acl {
        true => {
            Cow::Owned(acl::to_disk(&xattr.value).map_err(|error| format!("{shown}: {error}"))?)
        }
        false => Cow::Borrowed(&*xattr.value),
    };
    if value.len() > LONGEST_VALUE {
        return Err(format!(
            "the extended attribute {shown} has {} bytes; f2fs's limit is {LONGEST_VALUE}",
            value.len()
        ));
    }
    let at = stream.len();
    let entry = XattrEntry {
        e_name_index: number,
        e_name_len: le8(name.len()).map_err(|error| error.to_string())?,
        e_value_size: le16(value.len()).map_err(|error| error.to_string())?,
    };
    let length = size_of_val(&entry) + name.len() + value.len();
    stream.resize(at + length.next_multiple_of(4), 0);
    put(stream, at, &entry);
    put(stream, at + size_of_val(&entry), name);
    put(stream, at + size_of_val(&entry) + name.len(), &*value);
    Ok(())
}
