//! POSIX ACLs: conversion from the format of `getxattr(2)` to the on-disk format (kernel,
//! include/uapi/linux/posix_acl_xattr.h, fs/xfs/xfs_acl.c and `xfs_acl` in xfs_format.h).

use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{Immutable, KnownLayout, Unaligned};

/// Version of the format in system calls.
const SYSCALL_VERSION: u32 = 2;

/// Tags of entries with a user or group ID. The ID of the others is undefined.
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;
const UNNAMED: [u16; 4] = [0x01, 0x04, 0x10, 0x20];

/// `struct posix_acl_xattr_entry`.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Entry {
    tag: U16,
    permissions: U16,
    id: U32,
}

/// Converts the value of a `system.posix_acl_*` attribute to its on-disk form, or returns the
/// reason why it is invalid.
pub fn to_disk(value: &[u8]) -> Result<Vec<u8>, String> {
    let Ok((version, entries)) = U32::read_from_prefix(value) else {
        return Err(format!("{} bytes are too few for an ACL", value.len()));
    };
    if version != SYSCALL_VERSION {
        return Err(format!(
            "expected ACL version {SYSCALL_VERSION}, found {version}"
        ));
    }
    let Ok(entries) = <[Entry]>::ref_from_bytes(entries) else {
        return Err(format!("an ACL of {} bytes is truncated", value.len()));
    };
    let Ok(count) = u32::try_from(entries.len()) else {
        return Err(format!("an ACL has {} entries", entries.len()));
    };
    let mut disk = count.to_be_bytes().to_vec();
    for Entry {
        tag,
        permissions,
        id,
    } in entries
    {
        let id = match tag.get() {
            USER | GROUP => id.get(),
            tag if UNNAMED.contains(&tag) => u32::MAX,
            tag => return Err(format!("an ACL entry has the unknown tag {tag:#x}")),
        };
        disk.extend_from_slice(&u32::from(tag.get()).to_be_bytes());
        disk.extend_from_slice(&id.to_be_bytes());
        disk.extend_from_slice(&permissions.get().to_be_bytes());
        disk.extend_from_slice(&[0; 2]);
    }
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&permissions.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    }

    #[test]
    fn only_named_users_and_groups_have_ids() {
        let disk = to_disk(&value(&[(1, 6, 7), (2, 4, 1000)])).unwrap();
        let first = [0, 0, 0, 1, 255, 255, 255, 255, 0, 6, 0, 0];
        let second = [0, 0, 0, 2, 0, 0, 3, 0xe8, 0, 4, 0, 0];
        assert_eq!(disk, [&[0, 0, 0, 2][..], &first, &second].concat());
    }

    #[test]
    fn rejects_malformed_acls() {
        for (value, message) in [
            (vec![2, 0, 0], "3 bytes are too few for an ACL"),
            (vec![1, 0, 0, 0], "expected ACL version 2, found 1"),
            (
                value(&[(1, 1, 1)])[..11].to_vec(),
                "an ACL of 11 bytes is truncated",
            ),
            (value(&[(3, 0, 0)]), "an ACL entry has the unknown tag 0x3"),
        ] {
            assert_eq!(to_disk(&value), Err(message.to_owned()));
        }
    }
}
