//! The form in which an inode is stored, and how much space it takes.

use super::census::Census;
use super::chunks::Chunks;
use super::compress::Packed;
use super::directory;
use super::index::Index;
use super::ondisk::{BLOCK_SIZE, InodeCompact, InodeExtended};
use crate::fs::Options;
use crate::tree::{Content, Inode, InodeId, Kind, Tree};

/// An index that is longer than this is written in parts.
const LONG: u64 = 1 << 20;

/// A tree with everything that determines the forms of its inodes.
pub struct Subject<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Links and shared attributes.
    pub census: &'a Census,
    /// The compressed contents of files, if there are any.
    pub packed: Option<&'a Packed>,
    /// The time of inodes in the compact form.
    pub options: &'a Options,
}

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

impl Subject<'_> {
    /// Returns the form of `id`.
    pub fn shape(&self, id: InodeId) -> Shape {
        let inode = self.tree.inode(id);
        let size = size(inode);
        let mut shape = Shape {
            is_compact: self.is_compact(id, inode, size),
            xattrs: self.census.shared.inline_length(&inode.metadata.xattrs),
            size,
            data: Data::Flat { blocks: 0, tail: 0 },
        };
        shape.data = match &inode.kind {
            Kind::File(content) => self.file(id, content, &shape),
            Kind::Directory(_) | Kind::Symlink(_) => shape.flat(true),
            _ => return shape,
        };
        shape
    }

    /// As `erofs_should_use_inode_extended` of mkfs.erofs.
    fn is_compact(&self, id: InodeId, inode: &Inode, size: u64) -> bool {
        let metadata = &inode.metadata;
        let short = u32::from(u16::MAX);
        let numbers = [metadata.uid, metadata.gid, self.census.links(id)];
        size <= u64::from(u32::MAX)
            && numbers.iter().all(|&number| number <= short)
            && metadata.mtime == self.options.time
    }

    fn file(&self, id: InodeId, content: &Content, shape: &Shape) -> Data {
        if content.data.is_some() {
            return Chunks::best(content).map_or_else(|| shape.flat(false), Data::Chunks);
        }
        let flat = shape.flat(true);
        let packed = self.packed.and_then(|packed| packed.data(id, shape));
        match packed {
            Some(packed) if shape.space(&packed) < shape.space(&flat) => packed,
            _ => flat,
        }
    }
}

/// Returns the `i_size` of an inode.
fn size(inode: &Inode) -> u64 {
    match &inode.kind {
        Kind::Directory(directory) => directory::length(directory),
        Kind::File(content) => content.size,
        // usize to u64: lossless on every target Rust has.
        Kind::Symlink(target) => target.len() as u64,
        Kind::Fifo | Kind::Socket | Kind::CharacterDevice(_) | Kind::BlockDevice(_) => 0,
    }
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

    fn space(&self, data: &Data) -> u64 {
        let blocks = match data {
            Data::Flat { blocks, .. } | Data::Packed { blocks, .. } => *blocks,
            Data::Chunks(chunks) => chunks.blocks,
        };
        self.length_with(data) + blocks * BLOCK_SIZE
    }

    /// Returns the layout in adjacent blocks, with an inline part if there is room and
    /// `may_inline` is set.
    fn flat(&self, may_inline: bool) -> Data {
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
