//! Extended attributes of a file of this machine.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::Xattr;

/// The attributes of `path` that are the file's own, sorted by name; of a symlink, not of what it
/// points to.
pub fn read(path: &Path) -> io::Result<Vec<Xattr>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        // A file system without attributes.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names {
        if !belongs_to_file(name.as_bytes()) {
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
fn belongs_to_file(name: &[u8]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
