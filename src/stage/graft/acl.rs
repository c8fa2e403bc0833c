//! POSIX ACLs as `getxattr(2)` gives them.

use crate::tree::Metadata;

/// Length of `struct posix_acl_xattr_header`, a version, in bytes (`linux/posix_acl_xattr.h`).
const HEADER: usize = 4;
/// Length of `struct posix_acl_xattr_entry`: tag (2 bytes), permissions (2), user or group (4); all
/// little-endian.
const ENTRY: usize = 8;

// Tags (`linux/posix_acl.h`).
const ACL_USER_OBJ: u16 = 0x01;
const ACL_GROUP_OBJ: u16 = 0x04;
const ACL_MASK: u16 = 0x10;
const ACL_OTHER: u16 = 0x20;

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
    let has_mask = entries
        .chunks_exact(ENTRY)
        .any(|entry| tag(entry) == ACL_MASK);
    for entry in entries.chunks_exact_mut(ENTRY) {
        let permissions = match tag(entry) {
            ACL_USER_OBJ => mode >> 6 & 7,
            ACL_MASK => mode >> 3 & 7,
            ACL_GROUP_OBJ if !has_mask => mode >> 3 & 7,
            ACL_OTHER => mode & 7,
            _ => continue,
        };
        entry[2..4].copy_from_slice(&permissions.to_le_bytes());
    }
}
