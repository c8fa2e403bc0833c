//! Hashed directories: leaves with entries in the order of their hashes, below an index of one or
//! two levels (kernel, Documentation/filesystems/ext4/directory.rst, "Hash Tree Directories").

use anyhow::Result;
use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

use super::checksum;
use super::dirhash::{self, Hash, Seed};
use super::features::Features;
use super::names::{Names, entry_length};
use super::ondisk::{Block, DirEntry, DxCountLimit, DxEntry, DxNode, DxRoot, DxTail};
use crate::fs::number::{TooWide, index, le16, le32};

/// Index entries in the first block. One stays free, because `tune2fs` does not update the checksum
/// of a full block, and the kernel then rejects the directory.
const IN_ROOT: usize = DxRoot::LIMIT - 1;
/// Index entries in any other block.
const IN_NODE: usize = DxNode::LIMIT - 1;
/// Maximum number of leaves below an index of two levels. A third level needs the feature
/// `largedir`.
const MAX_LEAVES: usize = IN_ROOT * IN_NODE;

/// The leaves of a directory, and its entries in hash order.
pub struct Index {
    /// Indices of the names, sorted by hash.
    order: Vec<usize>,
    leaves: Vec<Leaf>,
    /// Whether index blocks have a tail. Without, there is room for another entry instead.
    tails: bool,
}

struct Leaf {
    /// The lowest hash in the leaf; odd if the previous leaf has names with the same hash.
    hash: u32,
    /// Where the leaf begins in `order`.
    start: usize,
}

/// The error for more names than an index of two levels can hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the directory has {0} entries; {1}'s limit is what fits in {MAX_LEAVES} blocks of 4 KiB")]
pub struct TooMany(usize, &'static str);

impl Index {
    /// Makes the index of `names`.
    ///
    /// # Errors
    /// If two levels can't hold it.
    pub fn new(names: &Names<'_>, seed: Seed) -> Result<Index, TooMany> {
        let features = names.features;
        let mut hashes: Vec<(Hash, u32)> = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            let at = u32::try_from(at).map_err(|_| TooMany(names.len(), features.name))?;
            hashes.push((seed.hash(name), at));
        }
        hashes.sort_unstable();
        let length = |at: usize| entry_length(names.get(at).len());
        let leaves = leaves(&hashes, length, features)?;
        let order = hashes.iter().map(|&(_, at)| index(u64::from(at)));
        Ok(Index {
            order: order.collect(),
            leaves,
            tails: features.metadata_csum(),
        })
    }

    /// Returns the number of blocks of the directory: the index and the leaves.
    pub fn blocks(&self) -> usize {
        1 + self.inner_blocks() + self.leaves.len()
    }

    /// Returns the indices of the names in each leaf.
    pub fn leaves(&self) -> impl Iterator<Item = &[usize]> {
        let ends = self.leaves.iter().skip(1).map(|leaf| leaf.start);
        let starts = self.leaves.iter().map(|leaf| leaf.start);
        starts
            .zip(ends.chain([self.order.len()]))
            .map(|(start, end)| &self.order[start..end])
    }

    /// Returns the number of blocks between the first one and the leaves.
    fn inner_blocks(&self) -> usize {
        match self.leaves.len() <= IN_ROOT {
            true => 0,
            false => self.leaves.len().div_ceil(IN_NODE),
        }
    }

    /// Passes the blocks of the index to `emit`. They come before the leaves. The directory has the
    /// number `number`, its parent the number `parent`, and its checksums the seed `seed`.
    ///
    /// # Errors
    /// Those of `emit`, and if a number is too large for its field.
    pub fn write(
        &self,
        number: u32,
        parent: u32,
        seed: checksum::Seed,
        emit: &mut dyn FnMut(&Block) -> Result<()>,
    ) -> Result<()> {
        let inner = self.inner_blocks();
        let entry = |(at, hash): (usize, u32)| -> Result<DxEntry, TooWide> {
            Ok(DxEntry {
                hash: U32::new(hash),
                block: le32(at)?,
            })
        };
        let leaves = (1 + inner..).zip(self.leaves.iter().map(|leaf| leaf.hash));
        let leaves = leaves.map(entry).collect::<Result<Vec<_>, _>>()?;
        let nodes = (1..).zip(leaves.chunks(IN_NODE).map(|entries| entries[0].hash.get()));
        let nodes = nodes.map(entry).collect::<Result<Vec<_>, _>>()?;

        let mut root = DxRoot::new_zeroed();
        root.dot = DirEntry {
            inode: U32::new(number),
            rec_len: le16(entry_length(1))?,
            name_len: 1,
            file_type: DirEntry::FT_DIR,
        };
        root.dot_name = *b".\0\0\0";
        root.dotdot = DirEntry {
            inode: U32::new(parent),
            rec_len: le16(size_of::<Block>() - entry_length(1))?,
            name_len: 2,
            file_type: DirEntry::FT_DIR,
        };
        root.dotdot_name = *b"..\0\0";
        root.hash_version = dirhash::HALF_MD4;
        root.info_length = DxRoot::INFO_LENGTH;
        root.indirect_levels = u8::from(inner > 0);
        let top = if inner > 0 { &nodes } else { &leaves };
        self.fill(&mut root.entries, top)?;
        root.tail = self.tail(root.as_bytes(), top.len(), DxRoot::LIMIT, seed);
        emit(&zerocopy::transmute!(root))?;
        if inner > 0 {
            for entries in leaves.chunks(IN_NODE) {
                let mut node = DxNode::new_zeroed();
                node.fake.rec_len = le16(size_of::<Block>())?;
                self.fill(&mut node.entries, entries)?;
                node.tail = self.tail(node.as_bytes(), entries.len(), DxNode::LIMIT, seed);
                emit(&zerocopy::transmute!(node))?;
            }
        }
        Ok(())
    }

    /// Fills the entries of an index block. The hash of the first entry is not stored: the numbers
    /// of entries take its place.
    fn fill(&self, room: &mut [DxEntry], entries: &[DxEntry]) -> Result<(), TooWide> {
        room[..entries.len()].copy_from_slice(entries);
        let count_limit = DxCountLimit {
            limit: le16(room.len() + usize::from(!self.tails))?,
            count: le16(entries.len())?,
        };
        room[0].hash = zerocopy::transmute!(count_limit);
        Ok(())
    }

    /// Returns the tail of `block`, in which the first `count` of `limit` entries are in use.
    fn tail(&self, block: &[u8], count: usize, limit: usize, seed: checksum::Seed) -> DxTail {
        let mut tail = DxTail::new_zeroed();
        if self.tails {
            let free = (limit - count) * size_of::<DxEntry>();
            let summed = block.len() - size_of::<DxTail>() - free;
            let checksum = seed.then(&block[..summed]).then(tail.as_bytes());
            tail.dt_checksum = U32::new(checksum.value());
        }
        tail
    }
}

/// Divides entries, sorted by hash, into leaves. `length` returns the length of the entry with a
/// given index.
fn leaves(
    hashes: &[(Hash, u32)],
    length: impl Fn(usize) -> usize,
    features: &Features,
) -> Result<Vec<Leaf>, TooMany> {
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
            room = features.entry_space();
        }
        // The census reports a name that is too long for a block, and then nothing is written.
        room = room.saturating_sub(length);
        before = Some(hash.major);
    }
    match leaves.len() <= MAX_LEAVES {
        true => Ok(leaves),
        false => Err(TooMany(hashes.len(), features.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::EXT4;
    use super::*;
    use crate::tree::{Content, Inode, InodeId, Kind, Metadata, Tree};

    #[test]
    fn leaves_hold_all_names_in_hash_order() {
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
            features: &EXT4,
        };
        let seed = Seed([3; 16]);
        let index = Index::new(&names, seed).unwrap();
        // Each name takes 48 bytes: 85 fit in a leaf.
        assert_eq!(index.blocks(), 1 + 5001usize.div_ceil(85));
        let mut seen = Vec::new();
        for leaf in index.leaves() {
            let bytes: usize = leaf
                .iter()
                .map(|&at| entry_length(names.get(at).len()))
                .sum();
            assert!(bytes <= EXT4.entry_space() && !leaf.is_empty());
            seen.extend(leaf.iter().map(|&at| seed.hash(names.get(at)).major));
        }
        assert!(seen.is_sorted() && seen.len() == 5001);
    }

    #[test]
    fn an_index_holds_at_most_506_times_509_leaves() {
        // A leaf holds 15 names of 255 bytes.
        let hash = |at: u32| Hash {
            major: 2 * at,
            minor: 0,
        };
        let length = |_| entry_length(255);
        let most = 15 * 257_554;
        let entries: Vec<(Hash, u32)> = (0..=most).map(|at| (hash(at), at)).collect();
        let full = leaves(&entries[..entries.len() - 1], length, &EXT4).map(|leaves| leaves.len());
        assert_eq!(full, Ok(257_554));
        let error = leaves(&entries, length, &EXT4).map(|leaves| leaves.len());
        assert_eq!(
            error.unwrap_err().to_string(),
            "the directory has 3863311 entries; ext4's limit is what fits in 257554 blocks of 4 KiB"
        );
    }
}
