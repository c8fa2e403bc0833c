//! What a tree takes, whatever the length of the file system.

use mkext4::dirhash::{Signedness, half_md4, seed_from_uuid};
use mkext4::spec::{dirent::rec_len_for, htree};

use super::{BLOCK, Options, declare, xattr};
use crate::tree::{Directory, InodeId, Kind, Tree};

/// Inodes the file system has for itself: ten reserved ones (the root is one of them) and
/// `lost+found`.
const OWN_INODES: u64 = 11;
/// Blocks of `lost+found`.
const LOST_AND_FOUND: u64 = 4;
/// Bytes of a directory block that hold entries; a checksum has the rest.
const ENTRIES: usize = 4096 - 12;

/// Blocks that are taken one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allocation {
    /// So many, for inodes that never have more than the four extents an inode has room for.
    Plain(u64),
    /// The segments of one file that may need blocks for its extents too.
    Mapped(Vec<u64>),
}

/// Blocks and inodes that a tree takes.
#[derive(Debug, Clone)]
pub struct Need {
    /// Inodes, those of the file system included.
    pub inodes: u64,
    /// Blocks in the order the crate takes them: all of directories, links and attributes, then
    /// those of files. Neither the journal nor extent blocks are in it.
    pub allocations: Vec<Allocation>,
}

impl Need {
    /// What `tree` takes; its attributes have passed [`super::limits::check`].
    pub fn of(tree: &Tree, options: &Options) -> Need {
        let seed = seed_from_uuid(options.uuid.as_bytes());
        let mut metadata = vec![LOST_AND_FOUND];
        let mut files = Vec::new();
        let mut seen = vec![false; tree.inodes().len()];
        let mut inodes = OWN_INODES;
        let mut add = |id: InodeId| {
            let inode = tree.inode(id);
            metadata.push(xattr::blocks(&inode.metadata.xattrs).unwrap_or(0));
            match &inode.kind {
                Kind::Directory(directory) => {
                    metadata.push(directory_blocks(directory, id == InodeId::ROOT, &seed));
                }
                Kind::Symlink(target) if target.len() > 59 => metadata.push(1),
                Kind::File(content) => files.push(
                    declare::block_ranges(content)
                        .iter()
                        .map(|range| range.length.div_ceil(BLOCK))
                        .collect(),
                ),
                _ => {}
            }
        };
        add(InodeId::ROOT);
        tree.walk(|_, id| {
            if !std::mem::replace(&mut seen[id.index()], true) {
                inodes += 1;
                add(id);
            }
        });
        let mut need = Need {
            inodes,
            allocations: Vec::new(),
        };
        metadata.into_iter().for_each(|n| need.take(vec![n]));
        files.into_iter().for_each(|segments| need.take(segments));
        need
    }

    /// Blocks it takes at the least: without the journal and blocks for extents.
    pub fn least(&self) -> u64 {
        self.allocations
            .iter()
            .map(|allocation| match allocation {
                Allocation::Plain(blocks) => *blocks,
                Allocation::Mapped(segments) => segments.iter().sum(),
            })
            .sum()
    }

    fn take(&mut self, segments: Vec<u64>) {
        let allocation = allocation(segments);
        match (self.allocations.last_mut(), allocation) {
            (Some(Allocation::Plain(before)), Allocation::Plain(more)) => *before += more,
            (_, allocation) => self.allocations.push(allocation),
        }
    }
}

/// One segment of up to a group's blocks is cut at most three times: where two groups begin, and by
/// the tables of a flex group.
pub fn allocation(segments: Vec<u64>) -> Allocation {
    match segments[..] {
        [] => Allocation::Plain(0),
        [blocks] if blocks <= super::geometry::GROUP => Allocation::Plain(blocks),
        _ => Allocation::Mapped(segments),
    }
}

/// Blocks of a directory: a list in the order of names while it fits one block, else an index over
/// full leaves in the order of hashes.
fn directory_blocks(directory: &Directory, is_root: bool, seed: &[u32; 4]) -> u64 {
    let own = is_root.then_some(&b"lost+found"[..]);
    let names = || {
        own.into_iter()
            .chain(directory.iter().map(|(name, _)| name))
    };
    let total: usize = names().map(|name| rec_len_for(name.len())).sum();
    if total < 4096 - 24 {
        let dots = [rec_len_for(1), rec_len_for(2)];
        return packed(
            dots.into_iter()
                .chain(names().map(|n| rec_len_for(n.len()))),
        );
    }
    let mut hashed: Vec<_> = names()
        .enumerate()
        .map(|(index, name)| {
            let hash = half_md4(seed, Signedness::Signed, name);
            (hash, index, rec_len_for(name.len()))
        })
        .collect();
    hashed.sort_unstable();
    let leaves = packed(hashed.into_iter().map(|(.., length)| length));
    let nodes = if leaves <= u64::from(htree::root_limit(4096)) {
        0
    } else {
        leaves.div_ceil(u64::from(htree::node_limit(4096)))
    };
    1 + leaves + nodes
}

/// Blocks for records of these lengths, in this order, none across two blocks.
fn packed(lengths: impl Iterator<Item = usize>) -> u64 {
    let mut blocks = 1;
    let mut used = 0;
    for length in lengths {
        if used + length > ENTRIES {
            blocks += 1;
            used = 0;
        }
        used += length;
    }
    blocks
}
