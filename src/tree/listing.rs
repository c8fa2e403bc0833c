//! A [`Tree`] as text, for reading and for comparison with the listings of other programs in tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{InodeId, Kind, Tree, Xattr};
use crate::escape;

/// Returns one line for every name in the tree, the root first, in the order of [`Tree::walk`]:
///
/// ```text
/// directory 0755 0:0 1.000000000 /etc
/// file 0644 0:0 1.000000000 5 /etc/hostname
/// symlink 0777 0:0 1.000000000 /etc/mtab -> /proc/mounts
/// character-device 0666 0:0 1.000000000 1,3 /dev/null
/// file 0644 0:0 1.000000000 5 /etc/name = /etc/hostname
/// ```
///
/// The fields are kind, mode, owner:group, mtime, size or device number, and path; for a hard link,
/// also the first name of the inode. Indented lines below an inode's first name show its flags, its
/// extended attributes (values in hexadecimal) and, for a file with holes, the data ranges as
/// offset+length. Names are escaped by [`escape::bytes`].
pub fn listing(tree: &Tree) -> String {
    let mut out = String::new();
    let mut first_names = BTreeMap::new();
    line(&mut out, tree, InodeId::ROOT, "/", None);
    tree.walk(|path, id| {
        let path = format!("/{}", escape::bytes(path));
        let first = first_names.get(&id).map(String::as_str);
        line(&mut out, tree, id, &path, first);
        if first.is_none() && tree.directory(id).is_none() {
            first_names.insert(id, path);
        }
    });
    out
}

/// Writes one line. Writing to a String cannot fail, so results are ignored.
fn line(out: &mut String, tree: &Tree, id: InodeId, path: &str, first: Option<&str>) {
    let inode = tree.inode(id);
    let (kind, detail) = match &inode.kind {
        Kind::Directory(_) => ("directory", String::new()),
        Kind::File(content) => ("file", format!("{} ", content.size)),
        Kind::Symlink(_) => ("symlink", String::new()),
        Kind::Fifo => ("fifo", String::new()),
        Kind::Socket => ("socket", String::new()),
        Kind::CharacterDevice(device) => (
            "character-device",
            format!("{},{} ", device.major, device.minor),
        ),
        Kind::BlockDevice(device) => (
            "block-device",
            format!("{},{} ", device.major, device.minor),
        ),
    };
    let metadata = &inode.metadata;
    let _ = write!(
        out,
        "{kind} {:04o} {}:{} {}.{:09} {detail}{path}",
        metadata.mode,
        metadata.uid,
        metadata.gid,
        metadata.mtime.seconds,
        metadata.mtime.nanoseconds
    );
    if let Kind::Symlink(target) = &inode.kind {
        let _ = write!(out, " -> {}", escape::bytes(target));
    }
    if let Some(first) = first {
        let _ = writeln!(out, " = {first}");
        return;
    }
    out.push('\n');
    if !metadata.flags.is_empty() {
        let _ = writeln!(out, "  {}", metadata.flags);
    }
    for Xattr { name, value } in &metadata.xattrs {
        let _ = write!(out, "  {}=0x", escape::bytes(name));
        for byte in value {
            let _ = write!(out, "{byte:02x}");
        }
        out.push('\n');
    }
    if let Kind::File(content) = &inode.kind
        && content.data.is_some()
    {
        out.push_str("  data");
        for range in content.data_ranges() {
            let _ = write!(out, " {}+{}", range.offset, range.length);
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Content, DataRange, Device, Flags, Inode, Metadata, Timestamp};
    use super::*;

    #[test]
    fn lists_every_kind() {
        let mut tree = Tree::new(Metadata::new(0o755));
        let mut add = |name: &[u8], kind| {
            let metadata = Metadata::new(0o4711);
            tree.insert(InodeId::ROOT, name, Inode { metadata, kind })
                .unwrap()
        };
        let mut sparse = Content::bytes(vec![0; 5000]);
        sparse.data = Some(Box::new(vec![DataRange {
            offset: 4096,
            length: 904,
        }]));
        let file = add(b"a\nb", Kind::File(sparse));
        add(b"l", Kind::Symlink(b"to\xff"[..].into()));
        add(b"p", Kind::Fifo);
        add(b"s", Kind::Socket);
        let device = Device { major: 1, minor: 3 };
        add(b"t", Kind::CharacterDevice(device));
        add(b"u", Kind::BlockDevice(device));
        tree.link(InodeId::ROOT, b"z", file).unwrap();
        let metadata = &mut tree.inode_mut(file).metadata;
        metadata.mtime = Timestamp {
            seconds: -2,
            nanoseconds: 7,
        };
        metadata.flags = Flags::of_file(0x30);
        metadata.xattrs = vec![Xattr {
            name: b"user.a"[..].into(),
            value: b"\0z"[..].into(),
        }]
        .into();
        assert_eq!(
            listing(&tree),
            "directory 0755 0:0 1.000000000 /\n\
             file 4711 0:0 -2.000000007 5000 /a\\nb\n  immutable append\n  user.a=0x007a\n  data 4096+904\n\
             symlink 4711 0:0 1.000000000 /l -> to\\xff\n\
             fifo 4711 0:0 1.000000000 /p\n\
             socket 4711 0:0 1.000000000 /s\n\
             character-device 4711 0:0 1.000000000 1,3 /t\n\
             block-device 4711 0:0 1.000000000 1,3 /u\n\
             file 4711 0:0 -2.000000007 5000 /z = /a\\nb\n"
        );
    }
}
