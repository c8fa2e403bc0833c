//! POSIX ACLs: conversion from the format of `getxattr(2)` to the on-disk format (kernel,
//! include/uapi/linux/posix_acl_xattr.h and fs/ext4/acl.h).

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use super::ondisk::{AclEntry, AclEntryShort};

/// Version of the format in system calls.
const SYSCALL_VERSION: u32 = 2;
/// Version of the on-disk format.
const DISK_VERSION: u32 = 1;

/// Tags of entries with a user or group ID. Entries with other tags take four bytes on disk.
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;
const UNNAMED: [u16; 4] = [0x01, 0x04, 0x10, 0x20];

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
    let Ok(entries) = <[AclEntry]>::ref_from_bytes(entries) else {
        return Err(format!("an ACL of {} bytes is truncated", value.len()));
    };
    let mut disk = U32::new(DISK_VERSION).as_bytes().to_vec();
    for entry in entries {
        let AclEntry { e_tag, e_perm, .. } = *entry;
        match e_tag.get() {
            USER | GROUP => disk.extend_from_slice(entry.as_bytes()),
            tag if UNNAMED.contains(&tag) => {
                disk.extend_from_slice(AclEntryShort { e_tag, e_perm }.as_bytes());
            }
            tag => return Err(format!("an ACL entry has the unknown tag {tag:#x}")),
        }
    }
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tag: u16, permissions: u16, id: u32) -> Vec<u8> {
        [
            &tag.to_le_bytes()[..],
            &permissions.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    }

    #[test]
    fn only_named_users_and_groups_keep_their_ids() {
        let value = [
            2u32.to_le_bytes().to_vec(),
            entry(1, 6, u32::MAX),
            entry(2, 4, 1000),
            entry(4, 4, u32::MAX),
            entry(0x10, 4, u32::MAX),
            entry(0x20, 0, u32::MAX),
        ]
        .concat();
        let disk = [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 0xe8, 3, 0, 0];
        let rest = [4, 0, 4, 0, 0x10, 0, 4, 0, 0x20, 0, 0, 0];
        assert_eq!(to_disk(&value).unwrap(), [&disk[..], &rest[..]].concat());
    }

    #[test]
    fn rejects_malformed_acls() {
        let two = 2u32.to_le_bytes().to_vec();
        for (value, message) in [
            (vec![2, 0, 0], "3 bytes are too few for an ACL"),
            (vec![1, 0, 0, 0], "expected ACL version 2, found 1"),
            (
                [two.clone(), vec![0; 7]].concat(),
                "an ACL of 11 bytes is truncated",
            ),
            (
                [two, entry(3, 0, 0)].concat(),
                "an ACL entry has the unknown tag 0x3",
            ),
        ] {
            assert_eq!(to_disk(&value), Err(message.to_owned()));
        }
    }
}
