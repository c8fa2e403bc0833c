//! Extended attributes: their form on disk and the room for them.
//!
//! Formats: "Extended Attributes" in the kernel's ext4 documentation; `acl(5)` and the kernel's
//! `fs/ext4/acl.h` for access control lists.

use crate::tree::Xattr;

/// Bytes for attributes in an inode of 256 bytes, behind its 160 bytes of fields and the magic.
const IN_INODE: usize = 256 - 160 - 4;

/// Bytes for entries and values in an attribute block, behind its header.
const IN_BLOCK: usize = 4096 - 32;

/// An empty entry ends a list.
const END: usize = 4;

/// Longest name on disk, without its prefix.
const NAME_MAX: usize = 255;

/// The namespaces, as numbers in the order they have on disk.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    match name {
        b"system.posix_acl_access" => return Some((2, b"")),
        b"system.posix_acl_default" => return Some((3, b"")),
        _ => {}
    }
    [
        (1, &b"user."[..]),
        (4, b"trusted."),
        (6, b"security."),
        (7, b"system."),
    ]
    .into_iter()
    .find_map(|(index, prefix)| Some((index, name.strip_prefix(prefix)?)))
}

/// How many blocks the attributes of one inode take beside the inode: 0 or 1.
///
/// # Errors
/// What can't be stored, and the limit it breaks.
pub fn blocks(xattrs: &[Xattr]) -> Result<u64, String> {
    let mut entries = Vec::with_capacity(xattrs.len());
    for attribute in xattrs {
        let name = crate::escape::bytes(&attribute.name);
        let Some((index, suffix)) = split(&attribute.name) else {
            return Err(format!(
                "the attribute {name} is in no namespace that ext4 has (user, trusted, security, \
                 system)"
            ));
        };
        if suffix.len() > NAME_MAX || std::str::from_utf8(suffix).is_err() {
            return Err(format!(
                "the attribute name {name} has more than {NAME_MAX} bytes or is not UTF-8"
            ));
        }
        let value = on_disk(attribute)?;
        let size = 16 + suffix.len().next_multiple_of(4) + value.len().next_multiple_of(4);
        if size + END > IN_BLOCK {
            return Err(format!(
                "the attribute {name} has {} bytes and one block has room for less",
                attribute.value.len()
            ));
        }
        entries.push((index, suffix.len(), suffix, size));
    }
    entries.sort_unstable();
    // The crate fills the inode in this order and puts all from the first that doesn't fit on into
    // the block.
    let mut used = END;
    let inside = entries.iter().take_while(|(.., size)| {
        used += size;
        used <= IN_INODE
    });
    let inside = inside.count();
    let outside: usize = entries[inside..].iter().map(|(.., size)| size).sum();
    match outside {
        0 => Ok(0),
        n if n + END <= IN_BLOCK => Ok(1),
        n => Err(format!(
            "its attributes need {n} bytes outside the inode and there is one block of {IN_BLOCK}"
        )),
    }
}

/// The value of `attribute` as ext4 stores it: access control lists have a form of their own.
///
/// # Errors
/// If it is an access control list that can't be read.
pub fn on_disk(attribute: &Xattr) -> Result<Vec<u8>, String> {
    match &*attribute.name {
        b"system.posix_acl_access" | b"system.posix_acl_default" => acl(&attribute.value)
            .ok_or_else(|| {
                format!(
                    "{} is no access control list of version 2",
                    crate::escape::bytes(&attribute.name)
                )
            }),
        _ => Ok(attribute.value.to_vec()),
    }
}

/// The list that `getxattr(2)` gives (version 2: tag, permissions and number for each entry) as
/// ext4's version 1, which leaves out the number where it means nothing.
fn acl(value: &[u8]) -> Option<Vec<u8>> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    let entries = value.strip_prefix(&2u32.to_le_bytes())?;
    let mut out = 1u32.to_le_bytes().to_vec();
    let (entries, rest) = entries.as_chunks::<8>();
    for entry in entries {
        let with_number = matches!(u16::from_le_bytes([entry[0], entry[1]]), USER | GROUP);
        out.extend_from_slice(if with_number { entry } else { &entry[..4] });
    }
    rest.is_empty().then_some(out)
}
