//! Definitions of `sqfstar` ("pseudo file definitions" in sqfstar(1)): sockets, which tar has no type
//! for; devices, because `sqfstar` 4.6.1 computes a wrong number from a minor number of 524,288 or
//! more in an archive; and the attributes of these and of the root, which an archive has no entry
//! for.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use data_encoding::BASE64_NOPAD;

use super::links::Links;
use crate::escape;
use crate::tree::{Inode, InodeId, Kind, Tree, Xattr};

/// The longest definition, in bytes. Linux's limit for an argument is 128 KiB (`MAX_ARG_STRLEN`).
const LONGEST: usize = 128 << 10;
/// The length of all definitions. Linux's limit for all arguments is 2 MiB (execve(2)).
const ALL: usize = 1 << 20;

/// Returns whether an inode of this kind is defined here and left out of the archive.
pub fn is_pseudo(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Socket | Kind::CharacterDevice(_) | Kind::BlockDevice(_)
    )
}

/// Returns the definitions of `tree`.
///
/// # Errors
/// The problems if some are too long for a command line, or if an attribute has special characters
/// in its name or an empty value.
pub fn definitions(tree: &Tree, links: &Links) -> Result<Vec<OsString>, Vec<String>> {
    let mut all = Definitions::default();
    all.attributes(b"", tree.inode(InodeId::ROOT));
    tree.walk(|path, id| {
        let inode = tree.inode(id);
        if !is_pseudo(&inode.kind) {
            return;
        }
        if let Some(target) = links.target(path, id) {
            return all.add(
                path,
                [quoted(path), b" L ".to_vec(), quoted(target)].concat(),
            );
        }
        let metadata = &inode.metadata;
        let (letter, end) = match &inode.kind {
            Kind::CharacterDevice(device) => ("C", format!("{} {}", device.major, device.minor)),
            Kind::BlockDevice(device) => ("B", format!("{} {}", device.major, device.minor)),
            _ => ("I", "s".to_owned()),
        };
        let rest = format!(
            " {letter} {} {:04o} {} {} {end}",
            metadata.mtime.seconds, metadata.mode, metadata.uid, metadata.gid
        );
        all.add(path, [quoted(path), rest.into_bytes()].concat());
        all.attributes(path, inode);
    });
    if all.length > ALL {
        all.problems.push(format!(
            "the names of sockets and devices and their attributes take {} bytes; sqfstar's limit is {ALL}",
            all.length
        ));
    }
    match all.problems.is_empty() {
        true => Ok(all.definitions),
        false => Err(all.problems),
    }
}

#[derive(Default)]
struct Definitions {
    definitions: Vec<OsString>,
    length: usize,
    problems: Vec<String>,
}

impl Definitions {
    fn add(&mut self, path: &[u8], definition: Vec<u8>) {
        if definition.len() >= LONGEST {
            self.problems.push(format!(
                "/{}: its name or an attribute takes {} bytes on sqfstar's command line; the limit is {}",
                escape::bytes(path),
                definition.len(),
                LONGEST - 1
            ));
        }
        self.length += definition.len() + 8;
        self.definitions.push(OsString::from_vec(definition));
    }

    fn attributes(&mut self, path: &[u8], inode: &Inode) {
        for Xattr { name, value } in &inode.metadata.xattrs {
            let special = !name.iter().all(u8::is_ascii_graphic);
            if special || value.is_empty() {
                self.problems.push(format!(
                    "/{}: sqfstar does not accept the extended attribute {} for a socket, a device or the root: \
                     {}",
                    escape::bytes(path),
                    escape::bytes(name),
                    match special {
                        true => "its name has special characters",
                        false => "its value is empty",
                    }
                ));
            }
            // In base 64 without padding: sqfstar 4.6.1 writes past the end of a buffer for a
            // value in hexadecimal.
            let value = BASE64_NOPAD.encode(value);
            let definition = [&quoted(path)[..], b" x ", name, b"=0s", value.as_bytes()];
            self.add(path, definition.concat());
        }
    }
}

/// Quotes a path. That of the root is empty.
fn quoted(path: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        return b"/".to_vec();
    }
    let mut quoted = vec![b'"'];
    for &byte in path {
        if byte == b'"' || byte == b'\\' {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Device, Metadata, Xattr};

    fn xattr(name: &str, value: &[u8]) -> Xattr {
        Xattr {
            name: name.as_bytes().into(),
            value: value.into(),
        }
    }

    #[test]
    fn sockets_devices_and_attributes_are_defined() {
        let mut root = Metadata::new(0o755);
        root.xattrs = vec![xattr("user.r", b"\0\xff")].into();
        let mut tree = Tree::new(root);
        let mut metadata = Metadata::new(0o4600);
        metadata.uid = 7;
        metadata.xattrs = vec![xattr("trusted.a", b"a")].into();
        let kind = Kind::Socket;
        let socket = tree
            .insert(InodeId::ROOT, b"a\"\\ b", Inode { metadata, kind })
            .unwrap();
        tree.link(InodeId::ROOT, b"z", socket).unwrap();
        let kind = Kind::BlockDevice(Device { major: 8, minor: 1 });
        let metadata = Metadata::new(0o660);
        tree.insert(InodeId::ROOT, b"sda1", Inode { metadata, kind })
            .unwrap();
        let found = definitions(&tree, &Links::new(&tree)).unwrap();
        assert_eq!(
            found,
            [
                "/ x user.r=0sAP8",
                "\"a\\\"\\\\ b\" I 1 4600 7 0 s",
                "\"a\\\"\\\\ b\" x trusted.a=0sYQ",
                "\"sda1\" B 1 0660 0 0 8 1",
                "\"z\" L \"a\\\"\\\\ b\"",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_on_a_command_line_is_reported() {
        let mut root = Metadata::new(0o755);
        root.xattrs = vec![
            xattr("user.a b", b"x"),
            xattr("user.e", b""),
            xattr("user.r", &[0; 100_000]),
        ]
        .into();
        let tree = Tree::new(root);
        assert_eq!(
            definitions(&tree, &Links::new(&tree)).unwrap_err(),
            [
                "/: sqfstar does not accept the extended attribute user.a b for a socket, a device or the \
                 root: its name has special characters",
                "/: sqfstar does not accept the extended attribute user.e for a socket, a device or the \
                 root: its value is empty",
                "/: its name or an attribute takes 133347 bytes on sqfstar's command line; the limit \
                 is 131071",
            ]
        );
    }
}
