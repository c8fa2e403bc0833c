//! Chunks, the units of work of one thread.

use anyhow::{Context, Result};

use super::encode::Encoded;
use super::{BlockSink, Blocks};
use crate::aligned::Aligned;
use crate::codec::Compressor;
use crate::fs::DataExtent;
use crate::image::Part;
use crate::image::extents::ExtentReader;

/// The minimum length of a chunk in bytes: enough that threads rarely wait for each other.
const CHUNK: usize = 1 << 20;

/// Some consecutive blocks of the disk.
pub struct Chunk<'a> {
    /// Its place among the chunks, from 0.
    pub number: u64,
    /// The number of its first block on the disk.
    pub first: u64,
    bytes: Aligned,
    used: usize,
    /// The ranges that are copied from files.
    pieces: Vec<Piece<'a>>,
    encoded: Encoded,
}

/// A range of a chunk that is copied from a file.
struct Piece<'a> {
    /// Where it begins in the chunk, in bytes.
    at: usize,
    /// Its length in bytes.
    length: usize,
    part: &'a Part,
    extent: &'a DataExtent,
    /// Where it begins in the extent, in bytes.
    skip: u64,
}

impl<'a> Chunk<'a> {
    /// Creates an empty chunk for blocks of `block` bytes.
    pub fn new(block: usize) -> Chunk<'a> {
        Chunk {
            number: 0,
            first: 0,
            bytes: Aligned::zeros(length(block)),
            used: 0,
            pieces: Vec::new(),
            encoded: Encoded::default(),
        }
    }

    /// Starts it again, as the chunk `number` with the first block `first`.
    pub fn start(&mut self, number: u64, first: u64) {
        self.number = number;
        self.first = first;
        self.used = 0;
        self.pieces.clear();
    }

    /// The number of bytes so far.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Adds zeros up to the byte `end`.
    pub fn zeros_to(&mut self, end: usize) {
        if let Some(gap) = self.bytes.get_mut(self.used..end) {
            gap.fill(0);
            self.used = end;
        }
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// If they do not fit.
    pub fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.used.saturating_add(bytes.len());
        let room = self.bytes.get_mut(self.used..end);
        room.context("too many bytes for a chunk")?
            .copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }

    /// Adds the `length` bytes of `extent`, which is an extent of `part`, from `skip` bytes after its
    /// beginning on. They are read later.
    pub fn add_copied(&mut self, part: &'a Part, extent: &'a DataExtent, skip: u64, length: usize) {
        self.pieces.push(Piece {
            at: self.used,
            length,
            part,
            extent,
            skip,
        });
        self.used = self.used.saturating_add(length);
    }

    /// Reads the bytes of its pieces, and returns their number.
    ///
    /// # Errors
    /// If a file cannot be read or has changed.
    pub fn fill(&mut self, reader: &mut ExtentReader<'a>) -> Result<u64> {
        let mut read: u64 = 0;
        for piece in self.pieces.drain(..) {
            let bytes = self.bytes.get_mut(piece.at..piece.at + piece.length);
            let bytes = bytes.context("a piece of a chunk extends beyond it")?;
            reader
                .read(piece.part, piece.extent, piece.skip, bytes)
                .with_context(|| format!("writing the part \"{}\"", piece.part.name))?;
            // usize to u64: lossless on every target Rust has.
            read = read.saturating_add(piece.length as u64);
        }
        Ok(read)
    }

    /// Encodes its blocks: see [`Encoded::encode`].
    ///
    /// # Errors
    /// If compressing fails.
    pub fn encode(&mut self, blocks: &Blocks, compressor: Option<&mut Compressor>) -> Result<()> {
        let bytes = &self.bytes[..self.used];
        self.encoded.encode(bytes, blocks, compressor)
    }

    /// Passes its blocks, which have been encoded, to `sink`.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn put(&self, blocks: &Blocks, sink: &mut dyn BlockSink) -> Result<()> {
        let bytes = &self.bytes[..self.used];
        self.encoded.put(self.first, bytes, blocks.length, sink)
    }
}

/// The length of a chunk of blocks of `block` bytes.
pub fn length(block: usize) -> usize {
    block.max(CHUNK)
}
