//! Directory blocks and the entries in them.

use anyhow::Result;
use zerocopy::FromZeros;
use zerocopy::little_endian::U32;

use super::LOST_FOUND_INODE;
use super::checksum::Seed;
use super::dirhash;
use super::htree::{Index, TooMany};
use super::names::{Names, entry_length};
use super::ondisk::{Block, DirEntry, DirEntryTail, put};
use crate::fs::number::{TooWide, le8, le16};
use crate::tree::Kind;

/// Number of blocks of `lost+found`, so that `fsck` need not allocate any.
pub const LOST_FOUND_BLOCKS: u64 = 4;

/// Returns the number of blocks that the entries of `names` take.
///
/// # Errors
/// If there are more names than an index of two levels can hold.
pub fn blocks(names: &Names<'_>, seed: dirhash::Seed) -> Result<u64, TooMany> {
    match names.is_indexed() {
        // usize to u64: lossless.
        true => Index::new(names, seed).map(|index| index.blocks() as u64),
        false => Ok(1),
    }
}

/// The contents of an entry, except its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The inode's number.
    pub number: u32,
    /// The file type in the directory entry.
    pub file_type: u8,
}

impl Target {
    /// A directory.
    pub fn directory(number: u32) -> Target {
        Target {
            number,
            file_type: DirEntry::FT_DIR,
        }
    }

    /// Returns the target for an inode of the kind `kind`.
    pub fn new(number: u32, kind: &Kind) -> Target {
        let file_type = match kind {
            Kind::File(_) => DirEntry::FT_REG_FILE,
            Kind::Directory(_) => DirEntry::FT_DIR,
            Kind::CharacterDevice(_) => DirEntry::FT_CHRDEV,
            Kind::BlockDevice(_) => DirEntry::FT_BLKDEV,
            Kind::Fifo => DirEntry::FT_FIFO,
            Kind::Socket => DirEntry::FT_SOCK,
            Kind::Symlink(_) => DirEntry::FT_SYMLINK,
        };
        Target { number, file_type }
    }
}

/// A directory to be written.
pub struct Writer<'a> {
    /// The directory's number.
    pub number: u32,
    /// The number of its parent directory.
    pub parent: u32,
    /// Its number of blocks.
    pub blocks: u64,
    /// Its names.
    pub names: Names<'a>,
    /// Returns the target of the name with a given index among the names in the tree.
    pub target: &'a dyn Fn(usize) -> Target,
    /// The seed of its checksums.
    pub seed: Seed,
    /// The seed of the directory hashes.
    pub hash_seed: dirhash::Seed,
}

impl Writer<'_> {
    /// Passes the blocks of the directory to `emit` in order.
    ///
    /// # Errors
    /// Those of `emit`, and if a number is too large for its field.
    pub fn write(&self, emit: &mut dyn FnMut(&Block) -> Result<()>) -> Result<()> {
        let mut block = EntryBlock::new(self.seed, self.names.features.entry_space());
        if self.names.is_indexed() {
            let index = Index::new(&self.names, self.hash_seed)?;
            index.write(self.number, self.parent, self.seed, emit)?;
            for leaf in index.leaves() {
                for &at in leaf {
                    self.add(&mut block, at)?;
                }
                emit(block.finish()?)?;
            }
            return Ok(());
        }
        block.add(b".", Target::directory(self.number))?;
        block.add(b"..", Target::directory(self.parent))?;
        for at in 0..self.names.len() {
            self.add(&mut block, at)?;
        }
        emit(block.finish()?)?;
        for _ in 1..self.blocks {
            emit(block.finish()?)?;
        }
        Ok(())
    }

    fn add(&self, block: &mut EntryBlock, at: usize) -> Result<(), TooWide> {
        let target = match at < self.names.directory.len() {
            true => (self.target)(at),
            false => Target::directory(LOST_FOUND_INODE),
        };
        block.add(self.names.get(at), target)
    }
}

/// A block of entries under construction.
struct EntryBlock {
    bytes: Block,
    /// The last entry, and its offset.
    last: DirEntry,
    last_at: usize,
    /// The offset of the next entry.
    next: usize,
    seed: Seed,
    /// Bytes for entries. If they are not the whole block, the rest is its tail.
    space: usize,
}

impl EntryBlock {
    fn new(seed: Seed, space: usize) -> EntryBlock {
        EntryBlock {
            bytes: Block::new_zeroed(),
            last: DirEntry::new_zeroed(),
            last_at: 0,
            next: 0,
            seed,
            space,
        }
    }

    fn add(&mut self, name: &[u8], target: Target) -> Result<(), TooWide> {
        if self.next == 0 {
            self.bytes.fill(0);
        }
        let length = entry_length(name.len());
        self.last_at = self.next;
        self.last = DirEntry {
            inode: U32::new(target.number),
            rec_len: le16(length)?,
            name_len: le8(name.len())?,
            file_type: target.file_type,
        };
        put(&mut self.bytes, self.last_at, &self.last);
        put(&mut self.bytes, self.last_at + size_of::<DirEntry>(), name);
        self.next += length;
        Ok(())
    }

    /// Returns the finished block. The next entry begins a new one.
    fn finish(&mut self) -> Result<&Block, TooWide> {
        if self.next == 0 {
            // An empty block consists of one unused entry.
            self.bytes.fill(0);
            self.last = DirEntry::new_zeroed();
        }
        self.last.rec_len = le16(self.space - self.last_at)?;
        put(&mut self.bytes, self.last_at, &self.last);
        (self.last_at, self.next) = (0, 0);
        if self.space == self.bytes.len() {
            return Ok(&self.bytes);
        }
        let tail = DirEntryTail {
            det_reserved_zero1: U32::ZERO,
            det_rec_len: le16(size_of::<DirEntryTail>())?,
            det_reserved_zero2: 0,
            det_reserved_ft: DirEntryTail::FT_DIR_CSUM,
            det_checksum: U32::new(self.seed.then(&self.bytes[..self.space]).value()),
        };
        put(&mut self.bytes, self.space, &tail);
        Ok(&self.bytes)
    }
}
