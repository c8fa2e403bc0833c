//! Hashed directories: leaves of entries in the order of their hashes, and above them one or two
//! levels of an index (kernel, Documentation/filesystems/ext4/directory.rst, "Hash Tree
//! Directories").

use anyhow::Result;

use super::BLOCK_SIZE;
use super::bytes::{index, put};
use super::directory::{Names, ROOM, Writer, entry_length, place};
use super::dirhash::{Hash, Seed};

/// Room for index entries in the first block: 8 bytes each, after `.`, `..` and what describes the
/// index, before the checksum.
const ROOT_LIMIT: usize = (BLOCK_SIZE - 32 - 8) / 8;
/// That in another block, after an entry that spans it.
const NODE_LIMIT: usize = (BLOCK_SIZE - 8 - 8) / 8;
/// Index entries in each: one stays free, as `tune2fs` makes no new checksum for a full block, and
/// the kernel then refuses the directory.
const IN_ROOT: usize = ROOT_LIMIT - 1;
const IN_NODE: usize = NODE_LIMIT - 1;
/// Most leaves of an index of two levels; a third needs the feature `largedir`.
const MOST_LEAVES: usize = IN_ROOT * IN_NODE;
/// The hash that is the file system's default.
const HALF_MD4: u64 = 1;

/// The order of a directory's entries.
pub struct Index {
    /// Places of the names, by hash.
    order: Vec<usize>,
    leaves: Vec<Leaf>,
}

struct Leaf {
    /// The lowest hash in it; odd if the leaf before has names with the same hash.
    hash: u32,
    /// Where in the order it begins.
    start: usize,
}

/// More names than an index of two levels can hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a directory of {0} entries; ext4 holds as many as fit in {MOST_LEAVES} blocks of 4 KiB")]
pub struct TooMany(usize);

impl Index {
    /// The index of `names`.
    ///
    /// # Errors
    /// If two levels can't hold it.
    pub fn new(names: &Names<'_>, seed: Seed) -> Result<Index, TooMany> {
        let mut hashes: Vec<(Hash, u32)> = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            hashes.push((seed.hash(name), place(at)));
        }
        hashes.sort_unstable();
        let length = |at: usize| entry_length(names.get(at).len());
        let leaves = leaves(&hashes, length)?;
        let order = hashes.iter().map(|&(_, at)| index(u64::from(at)));
        Ok(Index {
            order: order.collect(),
            leaves,
        })
    }

    /// How many blocks the directory has: the index and the leaves.
    pub fn blocks(&self) -> usize {
        1 + self.nodes() + self.leaves.len()
    }

    /// The places of the names of each leaf.
    pub fn leaves(&self) -> impl Iterator<Item = &[usize]> {
        let ends = self.leaves.iter().skip(1).map(|leaf| leaf.start);
        let starts = self.leaves.iter().map(|leaf| leaf.start);
        starts
            .zip(ends.chain([self.order.len()]))
            .map(|(start, end)| &self.order[start..end])
    }

    /// Blocks between the first one and the leaves.
    fn nodes(&self) -> usize {
        match self.leaves.len() <= IN_ROOT {
            true => 0,
            false => self.leaves.len().div_ceil(IN_NODE),
        }
    }

    /// Hands over the blocks of the index, which come before the leaves.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn write(
        &self,
        directory: &Writer<'_>,
        emit: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let nodes = self.nodes();
        let first_leaf = 1 + nodes;
        let leaves: Vec<(u32, usize)> = self
            .leaves
            .iter()
            .enumerate()
            .map(|(at, leaf)| (leaf.hash, first_leaf + at))
            .collect();
        let above: Vec<(u32, usize)> = leaves
            .chunks(IN_NODE)
            .enumerate()
            .map(|(at, entries)| (entries[0].0, 1 + at))
            .collect();

        let mut root = vec![0; BLOCK_SIZE];
        for (at, number, length, name) in [
            (0, directory.number, 12, &b"."[..]),
            // usize to u64: lossless.
            (12, directory.parent, BLOCK_SIZE as u64 - 12, b".."),
        ] {
            put(&mut root, at, 4, u64::from(number));
            put(&mut root, at + 4, 2, length);
            put(&mut root, at + 6, 1, name.len() as u64);
            put(&mut root, at + 7, 1, 2);
            root[at + 8..at + 8 + name.len()].copy_from_slice(name);
        }
        put(&mut root, 0x1c, 1, HALF_MD4);
        put(&mut root, 0x1d, 1, 8); // length of this description
        put(&mut root, 0x1e, 1, u64::from(nodes > 0)); // levels below this block and above leaves
        let top = if nodes > 0 { &above } else { &leaves };
        fill(&mut root, 0x20, ROOT_LIMIT, top, directory);
        emit(&root)?;
        if nodes > 0 {
            for entries in leaves.chunks(IN_NODE) {
                let mut node = vec![0; BLOCK_SIZE];
                put(&mut node, 4, 2, BLOCK_SIZE as u64);
                fill(&mut node, 8, NODE_LIMIT, entries, directory);
                emit(&node)?;
            }
        }
        Ok(())
    }
}

/// The leaves for entries in the order of their hashes. `length` is the bytes of the one at a place.
fn leaves(hashes: &[(Hash, u32)], length: impl Fn(usize) -> usize) -> Result<Vec<Leaf>, TooMany> {
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut room = 0;
    let mut before = None;
    for (start, &(hash, at)) in hashes.iter().enumerate() {
        let length = length(index(u64::from(at)));
        if length > room {
            let continues = before == Some(hash.major);
            leaves.push(Leaf {
                hash: match leaves.is_empty() {
                    true => 0,
                    false => hash.major | u32::from(continues),
                },
                start,
            });
            room = ROOM;
        }
        // A name that no block holds is an error of the census, which counts blocks first.
        room = room.saturating_sub(length);
        before = Some(hash.major);
    }
    match leaves.len() <= MOST_LEAVES {
        true => Ok(leaves),
        false => Err(TooMany(hashes.len())),
    }
}

/// Writes index entries, (hash, block within the directory), from `at` on, and the checksum. The
/// first entry's hash is not stored: the numbers of entries are in its place.
fn fill(
    block: &mut [u8],
    at: usize,
    limit: usize,
    entries: &[(u32, usize)],
    directory: &Writer<'_>,
) {
    for (number, &(hash, target)) in entries.iter().enumerate() {
        let at = at + 8 * number;
        put(block, at, 4, u64::from(hash));
        // usize to u64: lossless.
        put(block, at + 4, 4, target as u64);
    }
    put(block, at, 2, limit as u64);
    put(block, at + 2, 2, entries.len() as u64);
    let tail = at + 8 * limit;
    let checksum = directory
        .seed
        .then(&block[..at + 8 * entries.len()])
        .then(&[0; 8]);
    put(block, tail + 4, 4, u64::from(checksum.value()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Inode, InodeId, Kind, Metadata, Tree};

    #[test]
    fn leaves_hold_all_names_by_hash_and_none_too_many() {
        let mut tree = Tree::new(Metadata::new(0o755));
        for number in 0..5000 {
            let file = Inode {
                metadata: Metadata::new(0o644),
                kind: Kind::File(Content::bytes(Vec::new())),
            };
            let name = format!("{number:0>40}");
            tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
        }
        let names = Names {
            directory: tree.directory(InodeId::ROOT).unwrap(),
            lost_found: true,
        };
        let seed = Seed([3; 16]);
        let index = Index::new(&names, seed).unwrap();
        // 48 bytes for each name: 85 in a leaf.
        assert_eq!(index.blocks(), 1 + 5001usize.div_ceil(85));
        let mut seen = Vec::new();
        for leaf in index.leaves() {
            let bytes: usize = leaf
                .iter()
                .map(|&at| entry_length(names.get(at).len()))
                .sum();
            assert!(bytes <= ROOM && !leaf.is_empty());
            seen.extend(leaf.iter().map(|&at| seed.hash(names.get(at)).major));
        }
        assert!(seen.is_sorted() && seen.len() == 5001);
    }

    #[test]
    fn an_index_is_full_with_506_times_509_leaves() {
        // Of names of 255 bytes a leaf holds 15.
        let entries = |count: u32| -> Vec<(Hash, u32)> {
            let hash = |at: u32| Hash {
                major: 2 * at,
                minor: 0,
            };
            (0..count).map(|at| (hash(at), at)).collect()
        };
        let length = |_| entry_length(255);
        let most = 15 * 257_554;
        let full = leaves(&entries(most), length).map(|leaves| leaves.len());
        assert_eq!(full, Ok(257_554));
        let error = leaves(&entries(most + 1), length).map(|leaves| leaves.len());
        assert_eq!(
            error.unwrap_err().to_string(),
            "a directory of 3863311 entries; ext4 holds as many as fit in 257554 blocks of 4 KiB"
        );
    }
}
