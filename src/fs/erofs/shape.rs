//! The form in which an inode is stored, and how much space it takes.

use super::chunks::Chunks;
use super::index::Index;
use super::ondisk::{BLOCK_SIZE, InodeCompact, InodeExtended};

/// An index that is longer than this is written in parts.
const LONG: u64 = 1 << 20;

/// The form of an inode. Lengths are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Whether the inode has the short form.
    pub is_compact: bool,
    /// Length of the extended attributes.
    pub xattrs: u64,
    /// Length of the data.
    pub size: u64,
    /// Where the data is.
    pub data: Data,
}

/// Where the data of an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// In adjacent blocks. The end of the data, of the length `tail`, follows the inode.
    Flat {
        /// Number of blocks.
        blocks: u64,
        /// Length of the inline part, less than a block.
        tail: u64,
    },
    /// In some of the chunks.
    Chunks(Chunks),
    /// Compressed, with an index after the inode.
    Packed {
        /// Number of blocks.
        blocks: u64,
        /// The form of the index.
        index: Index,
        /// Length of the last extent if it follows the index, or 0.
        tail: u64,
    },
}

impl Shape {
    /// Returns the length of the inode with its attributes.
    pub fn head(&self) -> u64 {
        let inode = match self.is_compact {
            true => size_of::<InodeCompact>(),
            false => size_of::<InodeExtended>(),
        };
        // usize to u64: lossless on every target Rust has.
        inode as u64 + self.xattrs
    }

    /// Returns the length of everything that is stored with the inode.
    pub fn length(&self) -> u64 {
        self.length_with(&self.data)
    }

    fn length_with(&self, data: &Data) -> u64 {
        match data {
            Data::Flat { tail, .. } => self.head() + tail,
            // Attributes have a length that is a multiple of 4.
            Data::Chunks(chunks) => self.head() + 4 * chunks.count,
            Data::Packed { index, tail, .. } => {
                self.head().next_multiple_of(8) + index.length() + tail
            }
        }
    }

    /// Returns whether all that must be in a single block: inline data must not continue in
    /// another one. What is long begins in a block of its own, because the block of the superblock
    /// has a checksum.
    pub fn is_together(&self) -> bool {
        match self.data {
            Data::Flat { tail, .. } | Data::Packed { tail, .. } if tail > 0 => true,
            _ => self.is_long(),
        }
    }

    /// Returns whether there is too much of it, because of the index, to be in memory.
    pub fn is_long(&self) -> bool {
        self.length() > LONG
    }

    /// Returns the number of blocks of the data.
    pub fn blocks(&self) -> u64 {
        match self.data {
            Data::Flat { blocks, .. } | Data::Packed { blocks, .. } => blocks,
            Data::Chunks(chunks) => chunks.blocks,
        }
    }

    /// Returns the space that the inode takes with this data, in bytes.
    pub fn space(&self, data: &Data) -> u64 {
        let blocks = match data {
            Data::Flat { blocks, .. } | Data::Packed { blocks, .. } => *blocks,
            Data::Chunks(chunks) => chunks.blocks,
        };
        self.length_with(data) + blocks * BLOCK_SIZE
    }

    /// Returns the layout in adjacent blocks, with an inline part if there is room and
    /// `may_inline` is set.
    pub fn flat(&self, may_inline: bool) -> Data {
        let tail = self.size % BLOCK_SIZE;
        match may_inline && self.head() + tail <= BLOCK_SIZE {
            true => Data::Flat {
                blocks: self.size / BLOCK_SIZE,
                tail,
            },
            false => Data::Flat {
                blocks: self.size.div_ceil(BLOCK_SIZE),
                tail: 0,
            },
        }
    }
}
