//! POSIX ACLs, whose form on disk is that of system calls (kernel,
//! include/uapi/linux/posix_acl_xattr.h). Linux refuses all access to a file with an invalid one.

/// Version of the format.
const VERSION: [u8; 4] = 2u32.to_le_bytes();
/// Tags of entries.
const TAGS: [u16; 6] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20];

/// Returns why the value of a `system.posix_acl_*` attribute is invalid, if it is.
///
/// # Errors
/// The reason.
pub fn check(value: &[u8]) -> Result<(), String> {
    let Some((version, entries)) = value.split_first_chunk::<4>() else {
        return Err(format!("{} bytes are too few for an ACL", value.len()));
    };
    if *version != VERSION {
        let found = u32::from_le_bytes(*version);
        return Err(format!("expected ACL version 2, found {found}"));
    }
    if entries.len() % 8 != 0 {
        return Err(format!("an ACL of {} bytes is truncated", value.len()));
    }
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        if !TAGS.contains(&tag) {
            return Err(format!("an ACL entry has the unknown tag {tag:#x}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_malformed_acls() {
        assert_eq!(check(&[2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255]), Ok(()));
        for (value, message) in [
            (&[2, 0, 0][..], "3 bytes are too few for an ACL"),
            (&[1, 0, 0, 0], "expected ACL version 2, found 1"),
            (&[2, 0, 0, 0, 1], "an ACL of 5 bytes is truncated"),
            (
                &[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
                "an ACL entry has the unknown tag 0x3",
            ),
        ] {
            assert_eq!(check(value), Err(message.to_owned()));
        }
    }
}
