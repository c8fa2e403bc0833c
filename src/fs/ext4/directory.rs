//! Directory blocks (kernel, Documentation/filesystems/ext4/directory.rst).

use anyhow::Result;

use super::bytes::{low32, put};
use super::checksum::Seed;
use super::dirhash;
use super::htree::{Index, TooMany};
use super::{BLOCK_SIZE, LOST_FOUND, LOST_FOUND_INODE};
use crate::tree::{Directory, Kind};

/// Bytes of entries in a block; the rest is its checksum.
pub const ROOM: usize = BLOCK_SIZE - 12;

/// Blocks of `lost+found`, so that `fsck` need not allocate any.
pub const LOST_FOUND_BLOCKS: u64 = 4;

/// The names of a directory: those of the tree, and for the root `lost+found` when the tree has
/// none.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// What the tree has.
    pub directory: &'a Directory,
    /// Whether `lost+found` comes on top.
    pub lost_found: bool,
}

impl<'a> Names<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.directory.len() + usize::from(self.lost_found)
    }

    /// The name at place `at`.
    pub fn get(&self, at: usize) -> &'a [u8] {
        self.directory.nth(at).map_or(LOST_FOUND, |(name, _)| name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let extra = self.lost_found.then_some(LOST_FOUND);
        self.directory.iter().map(|(name, _)| name).chain(extra)
    }

    /// How many blocks they take.
    ///
    /// # Errors
    /// If they are more than an index of two levels can hold.
    pub fn blocks(&self, seed: dirhash::Seed) -> Result<u64, TooMany> {
        match self.is_indexed() {
            // usize to u64: lossless.
            true => Index::new(self, seed).map(|index| index.blocks() as u64),
            false => Ok(1),
        }
    }

    /// Whether they need more than one block, and so an index.
    pub fn is_indexed(&self) -> bool {
        let mut length = entry_length(1) + entry_length(2);
        self.iter().any(|name| {
            length += entry_length(name.len());
            length > ROOM
        })
    }
}

/// Bytes of the entry of a name with `length` bytes.
pub fn entry_length(length: usize) -> usize {
    (8 + length).next_multiple_of(4)
}

/// What an entry says of the inode that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The inode's number.
    pub number: u32,
    /// What it is: a directory entry's file type.
    pub file_type: u8,
}

impl Target {
    /// A directory.
    pub fn directory(number: u32) -> Target {
        Target {
            number,
            file_type: 2,
        }
    }

    /// What is said of an inode of the kind `kind`.
    pub fn new(number: u32, kind: &Kind) -> Target {
        let file_type = match kind {
            Kind::File(_) => 1,
            Kind::Directory(_) => 2,
            Kind::CharacterDevice(_) => 3,
            Kind::BlockDevice(_) => 4,
            Kind::Fifo => 5,
            Kind::Socket => 6,
            Kind::Symlink(_) => 7,
        };
        Target { number, file_type }
    }
}

/// A directory that is to be written.
pub struct Writer<'a> {
    /// Its own number.
    pub number: u32,
    /// That of the directory it is in.
    pub parent: u32,
    /// How many blocks it has.
    pub blocks: u64,
    /// Its names.
    pub names: Names<'a>,
    /// What the name at a place stands for, for those that the tree has.
    pub target: &'a dyn Fn(usize) -> Target,
    /// The seed of its checksums.
    pub seed: Seed,
    /// The seed of its hashes.
    pub hash_seed: dirhash::Seed,
}

impl Writer<'_> {
    /// Hands over its blocks in order.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn write(&self, emit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut block = Block::new(self.seed);
        if self.names.is_indexed() {
            let index = Index::new(&self.names, self.hash_seed)?;
            index.write(self, emit)?;
            for leaf in index.leaves() {
                for &at in leaf {
                    self.add(&mut block, at);
                }
                emit(block.finish())?;
            }
            return Ok(());
        }
        block.add(b".", Target::directory(self.number));
        block.add(b"..", Target::directory(self.parent));
        for at in 0..self.names.len() {
            self.add(&mut block, at);
        }
        emit(block.finish())?;
        for _ in 1..self.blocks {
            emit(block.finish())?;
        }
        Ok(())
    }

    fn add(&self, block: &mut Block, at: usize) {
        let target = match at < self.names.directory.len() {
            true => (self.target)(at),
            false => Target::directory(LOST_FOUND_INODE),
        };
        block.add(self.names.get(at), target);
    }
}

/// A block of entries that is being filled.
struct Block {
    bytes: Vec<u8>,
    /// Where the last entry begins, and where the next one will.
    last: usize,
    next: usize,
    seed: Seed,
}

impl Block {
    fn new(seed: Seed) -> Block {
        Block {
            bytes: vec![0; BLOCK_SIZE],
            last: 0,
            next: 0,
            seed,
        }
    }

    fn add(&mut self, name: &[u8], target: Target) {
        if self.next == 0 {
            self.bytes.fill(0);
        }
        let at = self.next;
        let length = entry_length(name.len());
        // usize to u64: lossless.
        put(&mut self.bytes, at, 4, u64::from(target.number));
        put(&mut self.bytes, at + 4, 2, length as u64);
        put(&mut self.bytes, at + 6, 1, name.len() as u64);
        put(&mut self.bytes, at + 7, 1, u64::from(target.file_type));
        self.bytes[at + 8..at + 8 + name.len()].copy_from_slice(name);
        self.last = at;
        self.next = at + length;
    }

    /// The whole block; what is added next begins a new one.
    fn finish(&mut self) -> &[u8] {
        if self.next == 0 {
            // Nothing in it: one entry that is not in use.
            self.bytes.fill(0);
        }
        put(&mut self.bytes, self.last + 4, 2, (ROOM - self.last) as u64);
        put(&mut self.bytes, ROOM + 4, 2, 12);
        put(&mut self.bytes, ROOM + 7, 1, 0xde);
        let checksum = self.seed.then(&self.bytes[..ROOM]).value();
        put(&mut self.bytes, ROOM + 8, 4, u64::from(checksum));
        (self.last, self.next) = (0, 0);
        &self.bytes
    }
}

/// `at` as it is kept in an index.
pub fn place(at: usize) -> u32 {
    // A tree has fewer than 2^32 inodes, but may have more names; an index with so many leaves is
    // refused long before.
    low32(at as u64)
}
