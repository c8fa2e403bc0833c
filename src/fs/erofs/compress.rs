//! Compression of files: on all cores, to a file in the work directory.

mod engine;
mod work;

use anyhow::Result;

use super::index::{Extent, Index};
use super::ondisk::BLOCK_SIZE;
use super::shape::{Data, Shape};
use crate::fs::number::index;
use crate::fs::{FinishedFile, source};
use crate::tree::{Content, InodeId};

pub use engine::Compression;

/// Files are compressed in pieces of this many bytes. The last one is longer by what remains, so it
/// is less than twice as long, but it may be divided in two.
pub const PIECE: u64 = 256 << 10;

/// The place of an inode that is not compressed.
const NONE: u32 = u32::MAX;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Piece {
    /// Its length in the file in bytes. All but the last two are in whole blocks.
    size: u32,
    /// The block in the finished file where it begins. Zeros come before its bytes, and its end is
    /// the end of a block.
    at: u32,
    /// Length of the compressed bytes, or 0 if the piece did not become shorter.
    length: u32,
}

impl Piece {
    /// The number of blocks that it takes.
    fn blocks(self) -> u32 {
        match self.length {
            0 => self.size.div_ceil(BLOCK_SIZE_32),
            length => length.div_ceil(BLOCK_SIZE_32),
        }
    }

    /// Where its compressed bytes begin in the finished file.
    fn start(self) -> u64 {
        let end = (u64::from(self.at) + u64::from(self.blocks())) * BLOCK_SIZE;
        end - u64::from(self.length)
    }
}

/// The size of a block as another type.
const BLOCK_SIZE_32: u32 = 4096;

/// The compressed contents of the files of a tree.
pub struct Packed {
    /// How they were compressed.
    pub compression: Compression,
    /// The file that contains them.
    pub file: FinishedFile,
    pieces: Vec<Piece>,
    /// The first piece of each file by [`InodeId::index`], or [`NONE`].
    first: Vec<u32>,
}

/// Where a part of the blocks of a compressed file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Whether it comes from the finished file; otherwise from the file itself.
    pub is_compressed: bool,
    /// Where it begins there, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Returns whether a file is worth a try.
fn is_candidate(content: &Content) -> bool {
    // The index alone takes 16 bytes.
    content.size > 64 && content.data.is_none()
}

impl Packed {
    /// Returns the pieces of a file, or none if it was not compressed.
    fn pieces(&self, id: InodeId, size: u64) -> &[Piece] {
        let first = match self.first.get(id.index()) {
            Some(&first) if first != NONE => index(first.into()),
            _ => return &[],
        };
        let pieces = self.pieces.get(first..).unwrap_or_default();
        let mut end = 0;
        let count = pieces
            .iter()
            .take_while(|piece| {
                let is_part = end < size;
                end += u64::from(piece.size);
                is_part
            })
            .count();
        &pieces[..count]
    }

    /// Returns the layout of a file when compressed, or `None` if it does not become shorter.
    pub fn data(&self, id: InodeId, shape: &Shape) -> Option<Data> {
        let pieces = self.pieces(id, shape.size);
        if pieces.iter().all(|piece| piece.length == 0) {
            return None;
        }
        let index = Index::new(shape.size, shape.head());
        let last = pieces.last().copied().unwrap_or_default();
        let tail = u64::from(last.length);
        let head = shape.head().next_multiple_of(8) + index.length();
        let is_inline = (1..BLOCK_SIZE).contains(&tail) && head + tail <= BLOCK_SIZE;
        let is_divided = !(shape.size - u64::from(last.size)).is_multiple_of(BLOCK_SIZE);
        if is_divided && !is_inline {
            return None;
        }
        let blocks = pieces.iter().map(|piece| u64::from(piece.blocks())).sum();
        Some(match is_inline {
            true => Data::Packed {
                blocks: blocks - 1,
                index,
                tail,
            },
            false => Data::Packed {
                blocks,
                index,
                tail: 0,
            },
        })
    }

    /// Returns the extents of a compressed file.
    pub fn extents(&self, id: InodeId, size: u64) -> impl Iterator<Item = Extent> {
        self.pieces(id, size).iter().map(|piece| Extent {
            length: piece.size.into(),
            compressed: (piece.length > 0).then(|| piece.blocks()),
        })
    }

    /// Returns where the blocks of a compressed file come from, except for an inline part.
    pub fn parts(&self, id: InodeId, size: u64, has_tail: bool) -> impl Iterator<Item = Part> {
        let pieces = match (self.pieces(id, size), has_tail) {
            ([rest @ .., _], true) => rest,
            (all, _) => all,
        };
        let mut end = 0;
        pieces.iter().map(move |piece| {
            let offset = end;
            end += u64::from(piece.size);
            match piece.length {
                0 => Part {
                    is_compressed: false,
                    offset,
                    length: piece.size.into(),
                },
                _ => Part {
                    is_compressed: true,
                    offset: u64::from(piece.at) * BLOCK_SIZE,
                    length: u64::from(piece.blocks()) * BLOCK_SIZE,
                },
            }
        })
    }

    /// Returns the bytes of the last extent of a compressed file.
    ///
    /// # Errors
    /// If reading the finished file fails.
    pub fn tail(&self, id: InodeId, size: u64) -> Result<Vec<u8>> {
        let last = self.pieces(id, size).last().copied().unwrap_or_default();
        let mut bytes = vec![0; index(last.length.into())];
        let path = || self.file.path().to_owned();
        source::read(self.file.file(), path, &mut bytes, last.start())?;
        Ok(bytes)
    }

    /// Returns the number of blocks of the largest compressed extent.
    pub fn largest(&self) -> u32 {
        let compressed = self.pieces.iter().filter(|piece| piece.length > 0);
        let blocks = compressed.map(|piece| piece.blocks());
        blocks.max().unwrap_or_default()
    }
}
