//! Compression of files: on all cores, to a file in the work directory.

mod engine;
mod work;

use std::ops::Range;

use anyhow::Result;

use super::index::{Extent, Index};
use super::ondisk::BLOCK_SIZE;
use super::shape::{Data, Shape};
use crate::fs::FinishedFile;
use crate::fs::number::index;
use crate::tree::{Content, InodeId};

pub use engine::Compression;

/// Files are compressed in pieces of this many bytes. The last piece is longer by what remains, so
/// it is less than twice as long.
pub const PIECE: u64 = 256 << 10;

/// The place of an inode that is not compressed.
const NONE: u32 = u32::MAX;

/// A compressed piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Piece {
    /// The block in the finished file where it begins. Zeros come before its bytes, and its end is
    /// the end of a block.
    at: u32,
    /// Length of the compressed bytes, or 0 if the piece did not become shorter.
    length: u32,
}

impl Piece {
    fn blocks(self) -> u32 {
        self.length.div_ceil(BLOCK_SIZE_32)
    }

    /// Where its bytes are in the finished file.
    fn bytes(self) -> Range<u64> {
        let end = (u64::from(self.at) + u64::from(self.blocks())) * BLOCK_SIZE;
        end - u64::from(self.length)..end
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

/// Returns the number of pieces of a file of `size` bytes.
fn piece_count(size: u64) -> u64 {
    (size / PIECE).max(1)
}

/// Returns the piece `number` of a file of `size` bytes, as a range of bytes.
fn piece(size: u64, number: u64) -> Range<u64> {
    let start = number * PIECE;
    match number + 1 == piece_count(size) {
        true => start..size,
        false => start..start + PIECE,
    }
}

/// Returns whether a file is worth a try.
fn is_candidate(content: &Content) -> bool {
    // The index alone takes 16 bytes.
    content.size > 64 && content.data.is_none()
}

impl Packed {
    fn pieces(&self, id: InodeId, size: u64) -> &[Piece] {
        match self.first.get(id.index()) {
            Some(&first) if first != NONE => {
                let first = index(first.into());
                let end = first.saturating_add(index(piece_count(size)));
                self.pieces.get(first..end).unwrap_or_default()
            }
            _ => &[],
        }
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
        let blocks = (0..)
            .zip(pieces)
            .map(|(number, found)| blocks(shape.size, number, *found))
            .sum();
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
        (0..)
            .zip(self.pieces(id, size))
            .map(move |(number, found)| {
                let range = piece(size, number);
                Extent {
                    length: range.end - range.start,
                    compressed: (found.length > 0).then(|| found.blocks()),
                }
            })
    }

    /// Returns where the blocks of a compressed file come from, except for an inline part.
    pub fn parts(&self, id: InodeId, size: u64, has_tail: bool) -> impl Iterator<Item = Part> {
        let pieces = self.pieces(id, size);
        let count = pieces.len() - usize::from(has_tail && !pieces.is_empty());
        (0..).zip(&pieces[..count]).map(move |(number, found)| {
            let range = piece(size, number);
            match found.length {
                0 => Part {
                    is_compressed: false,
                    offset: range.start,
                    length: range.end - range.start,
                },
                _ => Part {
                    is_compressed: true,
                    offset: u64::from(found.at) * BLOCK_SIZE,
                    length: u64::from(found.blocks()) * BLOCK_SIZE,
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
        let start = last.bytes().start;
        crate::fs::source::read(self.file.file(), path, &mut bytes, start)?;
        Ok(bytes)
    }

    /// Returns the number of blocks of the largest compressed extent.
    pub fn largest(&self) -> u32 {
        let blocks = self.pieces.iter().map(|piece| piece.blocks());
        blocks.max().unwrap_or_default()
    }
}

fn blocks(size: u64, number: u64, found: Piece) -> u64 {
    match found.length {
        0 => {
            let range = piece(size, number);
            (range.end - range.start).div_ceil(BLOCK_SIZE)
        }
        _ => found.blocks().into(),
    }
}
