//! Extended attributes of a file of this machine.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::tree::Xattr;

/// The attributes of `path` whose names `is_kept`, sorted by name; of a symlink, not of what it points
/// to.
pub fn read(path: &Path, is_kept: fn(&[u8]) -> bool) -> io::Result<Vec<Xattr>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        // A file system without attributes.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names {
        if !is_kept(name.as_bytes()) {
            continue;
        }
        // An attribute that went away after it was listed has no value.
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

/// Whether the attribute `name` says something about the file, and not about the machine it is on.
///
/// xattr(7) has four name spaces. In `security` all but capabilities are labels and hashes that a
/// security module of the running system made; in `system` all but POSIX ACLs are views that one
/// file system has of itself. overlayfs marks the files of its layers in `trusted` and `user`.
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

/// Whether the attribute `name` of a file of the image itself stays with it: as [`belongs_to_file`],
/// and what makes files of an overlay that the image mounts again what they are (Linux,
/// Documentation/filesystems/overlayfs.rst). Other marks of overlayfs hold numbers of inodes and file
/// systems, which are others in the image, and can be done without.
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
    fn an_overlay_of_the_image_keeps_what_makes_it_one() {
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
    fn labels_of_the_machine_are_not_the_files() {
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
