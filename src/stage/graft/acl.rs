//! POSIX ACLs as `getxattr(2)` gives them.

use crate::tree::Metadata;

/// Length of the version number in front, in bytes (`linux/posix_acl_xattr.h`).
const HEADER: usize = 4;
/// Length of one entry: tag (2 bytes), permissions (2), user or group (4); little-endian.
const ENTRY: usize = 8;

const OWNER: u16 = 0x01;
const OWNING_GROUP: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;

/// Gives the file `mode`, in its access ACL as well if it has one: as chmod(2) does, the group's
/// bits go to the mask, and to the owning group where there is no mask.
pub fn set_mode(metadata: &mut Metadata, mode: u16) {
    metadata.mode = mode & 0o7777;
    for xattr in metadata.xattrs.iter_mut() {
        if &*xattr.name == b"system.posix_acl_access" {
            set_permissions(&mut xattr.value, mode);
        }
    }
}

fn set_permissions(acl: &mut [u8], mode: u16) {
    let Some((_, entries)) = acl.split_at_mut_checked(HEADER) else {
        return;
    };
    let tag = |entry: &[u8]| u16::from_le_bytes([entry[0], entry[1]]);
    let has_mask = entries.chunks_exact(ENTRY).any(|entry| tag(entry) == MASK);
    for entry in entries.chunks_exact_mut(ENTRY) {
        let permissions = match tag(entry) {
            OWNER => mode >> 6 & 7,
            MASK => mode >> 3 & 7,
            OWNING_GROUP if !has_mask => mode >> 3 & 7,
            OTHERS => mode & 7,
            _ => continue,
        };
        entry[2..4].copy_from_slice(&permissions.to_le_bytes());
    }
}
