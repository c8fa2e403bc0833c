//! Directories: in the inode, in one block, with one leaf, or with a tree of leaves and an index of
//! free space (kernel, fs/xfs/libxfs/xfs_dir2*.c).

use anyhow::Result;
use zerocopy::FromZeros;
use zerocopy::big_endian::{U16, U32, U64};

use super::hash::hash;
use super::head::{Emit, Head};
use super::index::{self, Index};
use super::ondisk::{
    BlkInfo, Block, DataHeader, DirLeafEntry, DirLeafHeader, FreeHeader, be16, be32, file_type, put,
};
use crate::fs::number::{TooWide, le8};
use crate::tree::{Directory, InodeId, Kind};

/// Size of every header in a directory.
const HEADER: usize = size_of::<DataHeader>();
const BLOCK: usize = size_of::<Block>();
const ENTRY: usize = size_of::<DirLeafEntry>();
/// Size of the numbers at the end of a directory's only block: entries, and stale ones.
const BLOCK_TAIL: usize = 8;
/// Size of the number at the end of a directory's only leaf: data blocks.
const LEAF_TAIL: usize = 4;
/// Entries in a leaf.
const LEAF_ENTRIES: u64 = ((BLOCK - HEADER) / ENTRY) as u64;
/// Numbers in a block of the index of free space.
const FREE_ENTRIES: u64 = ((BLOCK - HEADER) / 2) as u64;

/// The first block of leaves and of the index of free space: each part of a directory has 32 GiB.
pub const LEAF_START: u64 = 1 << 23;
pub const FREE_START: u64 = 2 << 23;

/// Size of the entries `.` and `..` in a block together.
const DOTS: usize = 32;
/// Size of the header of a directory in its inode, and of an entry without its name.
const SHORT_HEADER: usize = 6;
const SHORT_ENTRY: usize = 8;

/// Returns the size in a block of the entry of a name with `length` bytes: inode, length, type and the
/// entry's own offset.
fn entry_size(length: usize) -> usize {
    (8 + 1 + length + 1 + 2).next_multiple_of(8)
}

/// How much space a directory needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes if it is stored in the inode.
    pub short: usize,
    /// Blocks with entries if it is not.
    pub data: u64,
    /// Blocks with leaves.
    pub leaf: u64,
    /// Blocks with the index of free space.
    pub free: u64,
}

impl Shape {
    /// Measures `directory`, or returns `None` if it is too large.
    pub fn new(directory: &Directory) -> Option<Shape> {
        let mut short = SHORT_HEADER;
        let mut data = 1;
        let mut used = HEADER + DOTS;
        for (name, _) in directory.iter() {
            short += SHORT_ENTRY + name.len();
            let size = entry_size(name.len());
            if used + size > BLOCK {
                data += 1;
                used = HEADER;
            }
            used += size;
        }
        let entries = directory.len() + 2;
        let mut shape = Shape {
            short,
            data,
            leaf: 0,
            free: 0,
        };
        // usize to u64: lossless.
        let (count, leaf) = (
            entries as u64,
            (HEADER + entries * ENTRY + LEAF_TAIL) as u64,
        );
        if data == 1 && used + entries * ENTRY + BLOCK_TAIL <= BLOCK {
            return Some(shape);
        }
        // usize to u64: lossless.
        if leaf + 2 * data <= BLOCK as u64 {
            shape.leaf = 1;
            return Some(shape);
        }
        shape.leaf = index::blocks(count.div_ceil(LEAF_ENTRIES));
        shape.free = data.div_ceil(FREE_ENTRIES);
        (data <= LEAF_START && count.div_ceil(LEAF_ENTRIES) <= index::MOST_LEAVES).then_some(shape)
    }
}

/// Returns the type in the entry of an inode of this kind.
pub fn type_of(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => file_type::FILE,
        Kind::Directory(_) => file_type::DIRECTORY,
        Kind::CharacterDevice(_) => file_type::CHARACTER_DEVICE,
        Kind::BlockDevice(_) => file_type::BLOCK_DEVICE,
        Kind::Fifo => file_type::FIFO,
        Kind::Socket => file_type::SOCKET,
        Kind::Symlink(_) => file_type::SYMLINK,
    }
}

/// The number and type of the inode of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub number: u64,
    pub file_type: u8,
}

/// A directory to be written.
pub struct Writer<'a> {
    /// Its number.
    pub number: u64,
    /// The number of its parent directory.
    pub parent: u64,
    /// Its entries.
    pub directory: &'a Directory,
    /// Returns the target of an entry.
    pub target: &'a dyn Fn(InodeId) -> Target,
    /// The UUID of the file system.
    pub uuid: &'a [u8; 16],
}

impl Writer<'_> {
    /// Returns the directory in the form for its inode.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn short(&self) -> Result<Vec<u8>, TooWide> {
        let mut bytes = vec![le8(self.directory.len())?, 0];
        bytes.extend_from_slice(&be32(self.parent)?.to_bytes());
        // Where the entry would be in a block.
        let mut offset = HEADER + DOTS;
        for (name, id) in self.directory.iter() {
            let target = (self.target)(id);
            bytes.push(le8(name.len())?);
            bytes.extend_from_slice(&be16(offset)?.to_bytes());
            bytes.extend_from_slice(name);
            bytes.push(target.file_type);
            bytes.extend_from_slice(&be32(target.number)?.to_bytes());
            offset += entry_size(name.len());
        }
        Ok(bytes)
    }

    /// Passes the blocks of the directory to `emit`, which are in `shape`.
    ///
    /// # Errors
    /// Those of `emit`, and if a number is too large for its field.
    pub fn blocks(&self, shape: &Shape, emit: &mut Emit<'_>) -> Result<()> {
        let mut entries = Vec::with_capacity(self.directory.len() + 2);
        let mut free = Vec::new();
        let mut data = DataBlock::new(self);
        let this = |number| Target {
            number,
            file_type: file_type::DIRECTORY,
        };
        let dots = [(&b"."[..], this(self.number)), (b"..", this(self.parent))];
        let names = self
            .directory
            .iter()
            .map(|(name, id)| (name, (self.target)(id)));
        for (name, target) in dots.into_iter().chain(names) {
            if data.used + entry_size(name.len()) > BLOCK {
                free.push(be16(data.close(BLOCK)?)?);
                emit(data.bytes, Head::Directory)?;
                data = DataBlock::new(self);
            }
            // usize to u64: lossless.
            let at = (free.len() * BLOCK + data.used) as u64;
            entries.push(DirLeafEntry {
                hashval: U32::new(hash(name)),
                address: be32(at / 8)?,
            });
            data.add(name, target)?;
        }
        entries.sort_unstable_by_key(|entry| (entry.hashval, entry.address));
        if shape.leaf == 0 {
            let tail = BLOCK - BLOCK_TAIL;
            let start = tail - entries.len() * ENTRY;
            data.close(start)?;
            put(&mut data.bytes, 0, &DataHeader::BLOCK);
            put(&mut data.bytes, start, &entries[..]);
            put(&mut data.bytes, tail, &be32(entries.len())?);
            return emit(data.bytes, Head::Directory);
        }
        free.push(be16(data.close(BLOCK)?)?);
        emit(data.bytes, Head::Directory)?;
        match shape.free {
            0 => self.leaf(&entries, &free, emit),
            _ => {
                self.tree(&entries, emit)?;
                self.free_space(&free, emit)
            }
        }
    }

    /// Writes the only leaf, which ends with the free space of each data block.
    fn leaf(&self, entries: &[DirLeafEntry], free: &[U16], emit: &mut Emit<'_>) -> Result<()> {
        let mut block = Block::new_zeroed();
        let header = DirLeafHeader {
            info: BlkInfo {
                magic: U16::new(BlkInfo::DIR_LEAF1),
                uuid: *self.uuid,
                owner: U64::new(self.number),
                ..BlkInfo::new_zeroed()
            },
            count: be16(entries.len())?,
            stale: U16::ZERO,
            pad: U32::ZERO,
        };
        put(&mut block, 0, &header);
        put(&mut block, HEADER, entries);
        put(&mut block, BLOCK - LEAF_TAIL - size_of_val(free), free);
        put(&mut block, BLOCK - LEAF_TAIL, &be32(free.len())?);
        emit(block, Head::Tree)
    }

    /// Writes the tree of leaves.
    fn tree(&self, entries: &[DirLeafEntry], emit: &mut Emit<'_>) -> Result<()> {
        // usize to u64: lossless.
        let count = (entries.len() as u64).div_ceil(LEAF_ENTRIES);
        let parts: Vec<_> =
            super::btree::parts(entries.len(), crate::fs::number::index(count)).collect();
        let highest = parts.iter().map(|part| entries[part.end - 1].hashval);
        let index = Index::new(highest.collect(), LEAF_START);
        for position in index.positions() {
            if position.level > 0 {
                emit(index.node(position, self.number, self.uuid)?, Head::Tree)?;
                continue;
            }
            let part = parts[position.at].clone();
            let mut block = Block::new_zeroed();
            let header = DirLeafHeader {
                info: index.info(position, BlkInfo::DIR_LEAFN, self.number, self.uuid)?,
                count: be16(part.len())?,
                stale: U16::ZERO,
                pad: U32::ZERO,
            };
            put(&mut block, 0, &header);
            put(&mut block, HEADER, &entries[part]);
            emit(block, Head::Tree)?;
        }
        Ok(())
    }

    fn free_space(&self, free: &[U16], emit: &mut Emit<'_>) -> Result<()> {
        let each = crate::fs::number::index(FREE_ENTRIES);
        for (at, numbers) in free.chunks(each).enumerate() {
            let mut block = Block::new_zeroed();
            let count = be32(numbers.len())?;
            let header = FreeHeader {
                magic: FreeHeader::MAGIC,
                uuid: *self.uuid,
                owner: U64::new(self.number),
                firstdb: be32(at * each)?,
                nvalid: count,
                nused: count,
                ..FreeHeader::new_zeroed()
            };
            put(&mut block, 0, &header);
            put(&mut block, HEADER, numbers);
            emit(block, Head::Directory)?;
        }
        Ok(())
    }
}

/// A block of entries under construction.
struct DataBlock {
    bytes: Block,
    used: usize,
}

impl DataBlock {
    fn new(writer: &Writer<'_>) -> DataBlock {
        let mut bytes = Block::new_zeroed();
        let header = DataHeader {
            magic: DataHeader::DATA,
            uuid: *writer.uuid,
            owner: U64::new(writer.number),
            ..DataHeader::new_zeroed()
        };
        put(&mut bytes, 0, &header);
        DataBlock {
            bytes,
            used: HEADER,
        }
    }

    fn add(&mut self, name: &[u8], target: Target) -> Result<(), TooWide> {
        let at = self.used;
        put(&mut self.bytes, at, &U64::new(target.number));
        put(&mut self.bytes, at + 8, &[le8(name.len())?]);
        put(&mut self.bytes, at + 9, name);
        put(&mut self.bytes, at + 9 + name.len(), &[target.file_type]);
        self.used += entry_size(name.len());
        put(&mut self.bytes, self.used - 2, &be16(at)?);
        Ok(())
    }

    /// Marks the bytes up to `end` as free and returns their number.
    fn close(&mut self, end: usize) -> Result<usize, TooWide> {
        let free = end - self.used;
        if free > 0 {
            let (offset, length) = (be16(self.used)?, be16(free)?);
            let best = std::mem::offset_of!(DataHeader, best_free);
            put(&mut self.bytes, best, &[offset, length]);
            put(&mut self.bytes, self.used, &[DataHeader::FREE_TAG, length]);
            put(&mut self.bytes, end - 2, &offset);
        }
        Ok(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Inode, Metadata, Tree};

    fn directory(names: usize, length: usize) -> Tree {
        let mut tree = Tree::new(Metadata::new(0o755));
        for number in 0..names {
            let inode = Inode {
                metadata: Metadata::new(0o644),
                kind: Kind::Fifo,
            };
            let name = format!("{number:0>length$}");
            tree.insert(InodeId::ROOT, name.as_bytes(), inode).unwrap();
        }
        tree
    }

    fn shape(names: usize, length: usize) -> Shape {
        let tree = directory(names, length);
        Shape::new(tree.directory(InodeId::ROOT).unwrap()).unwrap()
    }

    #[test]
    fn grows_through_all_forms() {
        for (names, length, short, data, leaf, free) in [
            (0, 0, 6, 1, 0, 0),
            (20, 8, 326, 1, 0, 0),
            // 24 and 8 bytes for each name.
            (124, 8, 1990, 1, 0, 0),
            (125, 8, 2006, 1, 1, 0),
            (166, 8, 2662, 1, 1, 0),
            (167, 8, 2678, 2, 1, 0),
            (500, 8, 8006, 3, 1, 0),
            // 503 entries fit in one leaf, which is then the root.
            (501, 8, 8022, 3, 1, 1),
            (503, 8, 8054, 4, 3, 1),
        ] {
            let expected = Shape {
                short,
                data,
                leaf,
                free,
            };
            assert_eq!(shape(names, length), expected, "{names}");
        }
        let long = shape(4000, 255);
        assert_eq!((long.data, long.leaf, long.free), (267, 9, 1));
    }

    #[test]
    fn as_many_blocks_are_written_as_counted() {
        for (names, length) in [
            (1, 200),
            (124, 8),
            (125, 8),
            (500, 8),
            (501, 8),
            (40_000, 100),
        ] {
            let tree = directory(names, length);
            let directory = tree.directory(InodeId::ROOT).unwrap();
            let shape = Shape::new(directory).unwrap();
            let writer = Writer {
                number: 128,
                parent: 128,
                directory,
                target: &|_| Target {
                    number: 131,
                    file_type: file_type::FIFO,
                },
                uuid: &[0; 16],
            };
            let mut count = 0;
            let mut emit = |_, _| {
                count += 1;
                Ok(())
            };
            writer.blocks(&shape, &mut emit).unwrap();
            assert_eq!(count, shape.data + shape.leaf + shape.free, "{names}");
        }
    }
}
