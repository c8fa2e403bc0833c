//! Extended attributes of a file on the host.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::tree::Xattr;

/// Returns the attributes of `path` whose names satisfy `is_kept`, sorted by name. A symlink is not
/// followed.
pub fn read(path: &Path, is_kept: fn(&[u8]) -> bool) -> io::Result<Vec<Xattr>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        // The file system does not support attributes.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names {
        if !is_kept(name.as_bytes()) {
            continue;
        }
        // An attribute that was removed after it was listed has no value.
        if let Some(value) = xattr::get(path, &name)? {
            found.push(Xattr {
                name: name.as_bytes().into(),
                value: value.into(),
            });
        }
    }
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Whether the attribute `name` describes the file itself, not the machine it is stored on.
///
/// There are four namespaces (xattr(7)). In `security`, everything except capabilities is a label
/// or hash made by a security module of the running system. In `system`, everything except POSIX
/// ACLs is specific to one file system. overlayfs marks the files of its layers in `trusted` and
/// `user`.
pub fn belongs_to_file(name: &[u8]) -> bool {
    const WHOLE: [&[u8]; 3] = [
        b"security.capability",
        b"system.posix_acl_access",
        b"system.posix_acl_default",
    ];
    WHOLE.contains(&name)
        || [&b"user."[..], b"trusted."].iter().any(|space| {
            name.strip_prefix(*space)
                .is_some_and(|rest| !rest.starts_with(b"overlay."))
        })
}

/// Whether the attribute `name` is kept for a file that is already in the image. In addition to
/// [`belongs_to_file`], these are the overlayfs marks that the image needs to mount its own
/// overlays again (Linux, Documentation/filesystems/overlayfs.rst). Other overlayfs marks hold
/// inode numbers and file system IDs, which differ in the new image and are optional.
pub fn belongs_to_image(name: &[u8]) -> bool {
    const MARKS: [&[u8]; 6] = [
        b"metacopy",
        b"opaque",
        b"protattr",
        b"redirect",
        b"whiteout",
        b"whiteouts",
    ];
    belongs_to_file(name)
        || [&b"user.overlay."[..], b"trusted.overlay."]
            .iter()
            .any(|space| {
                name.strip_prefix(*space)
                    .is_some_and(|mark| MARKS.contains(&mark))
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_marks_that_overlays_in_the_image_need() {
        for (name, kept) in [
            ("user.mime_type", true),
            ("security.selinux", false),
            ("trusted.overlay.opaque", true),
            ("trusted.overlay.metacopy", true),
            ("user.overlay.redirect", true),
            ("trusted.overlay.origin", false),
            ("trusted.overlay.uuid", false),
        ] {
            assert_eq!(belongs_to_image(name.as_bytes()), kept, "{name}");
        }
    }

    #[test]
    fn drops_attributes_specific_to_the_machine() {
        for (name, kept) in [
            ("user.mime_type", true),
            ("trusted.md5", true),
            ("security.capability", true),
            ("system.posix_acl_access", true),
            ("system.posix_acl_default", true),
            ("security.selinux", false),
            ("security.ima", false),
            ("security.evm", false),
            ("security.SMACK64", false),
            ("system.nfs4_acl", false),
            ("trusted.overlay.opaque", false),
            ("user.overlay.redirect", false),
            ("btrfs.compression", false),
        ] {
            assert_eq!(belongs_to_file(name.as_bytes()), kept, "{name}");
        }
    }
}
