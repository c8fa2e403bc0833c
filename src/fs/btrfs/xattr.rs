//! Extended attributes: which of them btrfs stores, and in what items (kernel, fs/btrfs/xattr.c).

use anyhow::Result;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::btree::{Items, LONGEST_ITEM};
use super::hash;
use super::ondisk::{DirItem, GENERATION, Key, file_type, item_type};
use crate::escape;
use crate::fs::number::le16;
use crate::tree::Xattr;

/// Beginnings of names that Linux lets a file have. ACLs have whole names.
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// Linux's limit on a name (`XATTR_NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// The longest name and value together (`BTRFS_MAX_XATTR_SIZE`).
const LONGEST: usize = LONGEST_ITEM - size_of::<DirItem>();

/// Returns the reason why an inode can't have the attributes `xattrs`.
pub fn problem(xattrs: &[Xattr]) -> Option<String> {
    if let Some(problem) = xattrs.iter().find_map(one) {
        return Some(problem);
    }
    let longest = by_hash(xattrs)
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| same.iter().map(|(_, xattr)| length(xattr)).sum())
        .max()
        .unwrap_or(0);
    (longest > LONGEST_ITEM).then(|| {
        format!(
            "extended attributes whose names have the same hash need {longest} bytes; btrfs's \
             limit is {LONGEST_ITEM}"
        )
    })
}

fn one(xattr: &Xattr) -> Option<String> {
    let shown = escape::short(&xattr.name);
    let known = PREFIXES
        .iter()
        .any(|prefix| xattr.name.starts_with(prefix) && xattr.name.len() > prefix.len());
    let acl = ACLS.contains(&&*xattr.name);
    if !known && !acl {
        return Some(format!(
            "btrfs does not support the extended attribute {shown}"
        ));
    }
    if xattr.name.len() > LONGEST_NAME {
        return Some(format!(
            "the extended attribute {shown} has a name of {} bytes; Linux's limit is {LONGEST_NAME}",
            xattr.name.len()
        ));
    }
    let length = xattr.name.len() + xattr.value.len();
    if length > LONGEST {
        return Some(format!(
            "the extended attribute {shown} has a name and a value of {length} bytes; btrfs's \
             limit is {LONGEST}"
        ));
    }
    match acl {
        true => acl_problem(&xattr.value).map(|problem| format!("{shown}: {problem}")),
        false => None,
    }
}

/// Returns the reason why `value` is no POSIX ACL. btrfs stores it as getxattr(2) returns it
/// (include/uapi/linux/posix_acl_xattr.h).
fn acl_problem(value: &[u8]) -> Option<String> {
    const VERSION: u32 = 2;
    const TAGS: [u16; 6] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20];
    let Ok((version, entries)) = U32::read_from_prefix(value) else {
        return Some(format!("{} bytes are too few for an ACL", value.len()));
    };
    if version != VERSION {
        return Some(format!("expected ACL version {VERSION}, found {version}"));
    }
    let (entries, rest) = entries.as_chunks::<8>();
    if !rest.is_empty() {
        return Some(format!("an ACL of {} bytes is truncated", value.len()));
    }
    let tags = entries
        .iter()
        .map(|&[low, high, ..]| u16::from_le_bytes([low, high]));
    let unknown = tags.into_iter().find(|tag| !TAGS.contains(tag));
    unknown.map(|tag| format!("an ACL entry has the unknown tag {tag:#x}"))
}

fn length(xattr: &Xattr) -> usize {
    size_of::<DirItem>() + xattr.name.len() + xattr.value.len()
}

/// Returns the attributes with the hashes of their names, sorted by these.
fn by_hash(xattrs: &[Xattr]) -> Vec<(u32, &Xattr)> {
    let mut sorted: Vec<_> = xattrs
        .iter()
        .map(|xattr| (hash::name(&xattr.name), xattr))
        .collect();
    sorted.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    sorted
}

/// Passes on the items of the inode `number`. Attributes whose names have the same hash share one.
///
/// # Errors
/// Those of `out`.
pub fn items(number: u64, xattrs: &[Xattr], out: &mut Items<'_>) -> Result<()> {
    for same in by_hash(xattrs).chunk_by(|a, b| a.0 == b.0) {
        let mut bytes = Vec::new();
        let mut key = Key::new(number, item_type::XATTR_ITEM, 0);
        for (hash, xattr) in same {
            key.offset = u64::from(*hash);
            let mut item = DirItem::new_zeroed();
            item.transid = U64::new(GENERATION);
            item.data_len = le16(xattr.value.len())?;
            item.name_len = U16::new(le16(xattr.name.len())?.get());
            item.kind = file_type::XATTR;
            bytes.extend_from_slice(item.as_bytes());
            bytes.extend_from_slice(&xattr.name);
            bytes.extend_from_slice(&xattr.value);
        }
        out(key, &bytes)?;
    }
    Ok(())
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
    fn reports_what_btrfs_does_not_store() {
        let long = format!("user.{}", "x".repeat(251));
        let acl = "system.posix_acl_access";
        for (name, value, message) in [
            (
                "foo.x",
                vec![],
                "btrfs does not support the extended attribute foo.x",
            ),
            (
                "user.",
                vec![],
                "btrfs does not support the extended attribute user.",
            ),
            (
                "btrfs.compression",
                vec![],
                "btrfs does not support the extended attribute btrfs.compression",
            ),
            (
                acl,
                vec![2, 0, 0],
                "system.posix_acl_access: 3 bytes are too few for an ACL",
            ),
            (
                acl,
                vec![1, 0, 0, 0],
                "system.posix_acl_access: expected ACL version 2, found 1",
            ),
            (
                acl,
                vec![2, 0, 0, 0, 1],
                "system.posix_acl_access: an ACL of 5 bytes is truncated",
            ),
            (
                acl,
                vec![2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
                "system.posix_acl_access: an ACL entry has the unknown tag 0x3",
            ),
            (
                "user.x",
                vec![0; 16_223],
                "the extended attribute user.x has a name and a value of 16229 bytes; btrfs's limit is 16228",
            ),
        ] {
            assert_eq!(problem(&[xattr(name, &value)]).as_deref(), Some(message));
        }
        let error = problem(&[xattr(&long, b"")]).unwrap();
        assert!(
            error.ends_with("a name of 256 bytes; Linux's limit is 255"),
            "{error}"
        );
        assert_eq!(problem(&[xattr("user.x", &[0; 16_222])]), None);
    }
}
