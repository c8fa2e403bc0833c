//! Random trees with everything that a tree can have.

use make_disk_image::tree::{
    Content, DataRange, Device, Inode, InodeId, Kind, Metadata, Source, Timestamp, Tree, Xattr,
};
use proptest::prelude::*;

use crate::ext4_writer::images::{directory, empty_tree, file, xattr};

/// One entry: its kind, its name, and which of the directories so far it is in.
#[derive(Debug, Clone)]
pub struct Entry {
    kind: Choice,
    name: Vec<u8>,
    parent: usize,
    metadata: Metadata,
}

#[derive(Debug, Clone)]
enum Choice {
    Directory,
    /// A directory with that many entries and names of that length.
    Filled(usize, usize),
    File(Vec<u8>),
    /// Data in ranges of blocks: (hole, data), with bytes removed or added at the end.
    Sparse(Vec<(u64, u64)>, i64),
    Symlink(Vec<u8>),
    /// Another name for an earlier inode that is not a directory.
    Link(usize),
    Device(bool, u32, u32),
    Fifo,
    Socket,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        8 => b'a'..=b'z',
        2 => (1u8..=255).prop_filter("a name has no slash", |byte| *byte != b'/'),
    ];
    let length = prop_oneof![6 => 1usize..20, 2 => 20usize..256, 1 => Just(255usize)];
    length
        .prop_flat_map(move |length| proptest::collection::vec(byte.clone(), length))
        .prop_filter("no . and ..", |name| name != b"." && name != b"..")
}

fn xattrs() -> impl Strategy<Value = Vec<Xattr>> {
    let prefix = prop_oneof![Just("user."), Just("trusted."), Just("security.")];
    let one = (
        prefix,
        "[a-z]{1,40}",
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            proptest::collection::vec(any::<u8>(), 0..900),
        ],
    );
    let some = proptest::collection::vec(one, 1..5).prop_map(|list| {
        let mut xattrs: Vec<Xattr> = list
            .into_iter()
            // The kernel parses labels and capabilities, so their values are not random.
            .map(|(prefix, name, value)| xattr(&format!("{prefix}x{name}"), &value))
            .collect();
        xattrs.sort_by(|a, b| a.name.cmp(&b.name));
        xattrs.dedup_by(|a, b| a.name == b.name);
        xattrs
    });
    prop_oneof![5 => Just(Vec::new()), 1 => some]
}

/// Any entry. Its time is one that ext4 can store.
pub fn entry() -> impl Strategy<Value = Entry> {
    // e2fsck doubts times from 2310, which are among the corner cases.
    entry_from(-(1i64 << 31)..10_737_418_240)
}

/// Any entry with a time in `seconds`.
pub fn entry_from(seconds: std::ops::Range<i64>) -> impl Strategy<Value = Entry> {
    let range = (0u64..20, 1u64..20);
    let kind = prop_oneof![
        6 => Just(Choice::Directory),
        1 => (0usize..900, 1usize..250).prop_map(|(count, length)| Choice::Filled(count, length)),
        10 => proptest::collection::vec(any::<u8>(), 0..9000).prop_map(Choice::File),
        2 => (proptest::collection::vec(range, 0..12), -4000i64..100_000)
            .prop_map(|(ranges, end)| Choice::Sparse(ranges, end)),
        6 => proptest::collection::vec(1u8..=255, 1..300).prop_map(Choice::Symlink),
        1 => proptest::collection::vec(1u8..=255, 4090..=4095).prop_map(Choice::Symlink),
        3 => any::<usize>().prop_map(Choice::Link),
        1 => (any::<bool>(), 0u32..4096, 0u32..1_048_576)
            .prop_map(|(block, major, minor)| Choice::Device(block, major, minor)),
        1 => Just(Choice::Fifo),
        1 => Just(Choice::Socket),
    ];
    let seconds = prop_oneof![Just(1i64), seconds];
    let id = prop_oneof![Just(0u32), 0..u32::MAX];
    (
        kind,
        name(),
        any::<usize>(),
        (
            0u16..0o10000,
            id.clone(),
            id,
            seconds,
            0u32..1_000_000_000,
            xattrs(),
        ),
    )
        .prop_map(
            |(kind, name, parent, (mode, uid, gid, seconds, nanoseconds, xattrs))| Entry {
                kind,
                name,
                parent,
                metadata: Metadata {
                    uid,
                    gid,
                    mtime: Timestamp {
                        seconds,
                        nanoseconds,
                    },
                    xattrs: xattrs.into(),
                    ..Metadata::new(mode)
                },
            },
        )
}

fn sparse(ranges: &[(u64, u64)], end: i64) -> Content {
    let mut bytes = Vec::new();
    let mut data = Vec::new();
    for &(hole, length) in ranges {
        // Also holes of less than a block, with both sides in one block.
        let offset = bytes.len() as u64 + hole * 1500 + 1;
        let length = length * 2000;
        data.push(DataRange { offset, length });
        bytes.resize(usize::try_from(offset).unwrap(), 0);
        bytes.resize(usize::try_from(offset + length).unwrap(), 0xa5);
    }
    let size = bytes
        .len()
        .saturating_add_signed(isize::try_from(end.max(0)).unwrap());
    bytes.resize(size, 0);
    Content {
        size: size as u64,
        source: Source::Bytes(bytes.into()),
        data: Some(data.into()),
    }
}

/// Returns the tree of these entries. Those that have no place are left out.
pub fn build(entries: Vec<Entry>) -> Tree {
    let mut tree = empty_tree();
    let mut directories = vec![InodeId::ROOT];
    let mut others = Vec::new();
    for entry in entries {
        let parent = directories[entry.parent % directories.len()];
        let mut metadata = entry.metadata;
        let kind = match entry.kind {
            Choice::Link(target) => {
                if !others.is_empty() {
                    // Linking to a taken name is an error and leaves the tree unchanged.
                    let _ = tree.link(parent, &entry.name, others[target % others.len()]);
                }
                continue;
            }
            Choice::Directory | Choice::Filled(..) => directory().kind,
            Choice::File(ref bytes) => Kind::File(Content::bytes(bytes.clone())),
            Choice::Sparse(ref ranges, end) => Kind::File(sparse(ranges, end)),
            Choice::Symlink(ref target) => Kind::Symlink(target.as_slice().into()),
            Choice::Device(true, major, minor) => Kind::BlockDevice(Device { major, minor }),
            Choice::Device(false, major, minor) => Kind::CharacterDevice(Device { major, minor }),
            Choice::Fifo => Kind::Fifo,
            Choice::Socket => Kind::Socket,
        };
        if matches!(kind, Kind::Symlink(_)) {
            metadata.mode = 0o777;
        }
        if !matches!(kind, Kind::File(_) | Kind::Directory(_)) {
            // The kernel allows user.* only on files and directories.
            metadata
                .xattrs
                .retain(|xattr| !xattr.name.starts_with(b"user."));
        }
        let Ok(id) = tree.insert(parent, &entry.name, Inode { metadata, kind }) else {
            continue;
        };
        match tree.directory(id) {
            Some(_) => directories.push(id),
            None => others.push(id),
        }
        if let Choice::Filled(count, length) = entry.kind {
            for number in 0..count {
                let name = format!("{number:0>length$}");
                tree.insert(id, name.as_bytes(), file(b"")).unwrap();
            }
        }
    }
    tree
}
