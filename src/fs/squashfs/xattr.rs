//! What squashfs can't store of extended attributes.

use crate::escape;
use crate::tree::Xattr;

/// The namespaces that squashfs has. It has no POSIX ACLs.
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
/// Linux's limits (`XATTR_NAME_MAX` and `XATTR_SIZE_MAX` in include/uapi/linux/limits.h).
const LONGEST_NAME: usize = 255;
const LONGEST_VALUE: usize = 65_536;

/// Describes all problems with the attributes of an inode.
pub fn check(xattrs: &[Xattr], problem: &mut dyn FnMut(String)) {
    for Xattr { name, value } in xattrs {
        let shown = escape::bytes(name);
        let is_known = PREFIXES.iter().any(|prefix| {
            name.strip_prefix(*prefix)
                .is_some_and(|rest| !rest.is_empty())
        });
        if !is_known {
            problem(format!(
                "squashfs does not support the extended attribute {shown}"
            ));
        }
        if name.contains(&b'=') || name.contains(&0) {
            problem(format!(
                "the name of the extended attribute {shown} contains = or a NUL, which tar can't represent"
            ));
        }
        if name.len() > LONGEST_NAME || value.len() > LONGEST_VALUE {
            problem(format!(
                "the extended attribute {shown} has a name of {} bytes and a value of {}; Linux's limits are \
                 {LONGEST_NAME} and {LONGEST_VALUE}",
                name.len(),
                value.len()
            ));
        }
    }
}
