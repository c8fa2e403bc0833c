//! POSIX ACLs as returned by `getxattr(2)`.

use crate::tree::Metadata;

/// Length in bytes of `struct posix_acl_xattr_header`, which is a version number
/// (`linux/posix_acl_xattr.h`).
const HEADER: usize = 4;
/// Length in bytes of `struct posix_acl_xattr_entry`: tag (2 bytes), permissions (2), user or group
/// ID (4); all little-endian.
const ENTRY: usize = 8;

// Tags (`linux/posix_acl.h`).
const ACL_USER_OBJ: u16 = 0x01;
const ACL_GROUP_OBJ: u16 = 0x04;
const ACL_MASK: u16 = 0x10;
const ACL_OTHER: u16 = 0x20;

/// Sets the mode, and updates the access ACL if there is one. As with chmod(2), the group bits go
/// into the mask, or into the owning group's entry if there is no mask.
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
