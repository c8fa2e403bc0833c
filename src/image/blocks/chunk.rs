//! Chunks, the units of work of one thread.

use anyhow::{Context, Result};

use super::Blocks;
use super::encode::Encoded;
use super::order::{Order, Worker};
use crate::codec::Compressor;
use crate::fs::DataExtent;
use crate::image::extents::ExtentReader;
use crate::image::ranges::{Bytes, Range};
use crate::image::{Image, Part};

/// The minimum length of a chunk in bytes: enough that threads rarely wait for each other.
const CHUNK: usize = 1 << 20;

/// Some consecutive blocks of the disk.
pub struct Chunk<'a> {
    /// Its place among the chunks, from 0.
    pub number: u64,
    /// The number of its first block on the disk.
    pub first: u64,
    bytes: Box<[u8]>,
    used: usize,
    /// The ranges that are copied from files.
    pieces: Vec<Piece<'a>>,
    /// What has become of its blocks, after [`Chunk::encode`].
    pub encoded: Encoded,
}

/// A range of a chunk that is copied from a file.
pub struct Piece<'a> {
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
            bytes: vec![0; length(block)].into(),
            used: 0,
            pieces: Vec::new(),
            encoded: Encoded::default(),
        }
    }

    /// Its bytes, after [`Chunk::fill`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
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

    /// Adds zeros up to the byte `end`.
    fn zeros_to(&mut self, end: usize) {
        if let Some(gap) = self.bytes.get_mut(self.used..end) {
            gap.fill(0);
            self.used = end;
        }
    }

    /// Adds `bytes`.
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.used.saturating_add(bytes.len());
        let room = self.bytes.get_mut(self.used..end);
        room.context("too many bytes for a chunk")?
            .copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }
}

/// The length of a chunk of blocks of `block` bytes.
fn length(block: usize) -> usize {
    block.max(CHUNK)
}

/// Divides a disk into chunks, which it gives to an [`Order`].
struct Divider<'d, 'o, 'a> {
    order: &'d Order<'o, 'a>,
    worker: &'d mut Worker<'a>,
    open: Option<Chunk<'a>>,
    /// The number of chunks so far.
    count: u64,
}

/// Divides `image` into chunks for `order`. Those without data are left out. `worker` is the state of
/// this thread.
///
/// # Errors
/// If the ranges of the image overlap, or any thread has failed.
pub fn divide<'a>(image: &'a Image, order: &Order<'_, 'a>, worker: &mut Worker<'a>) -> Result<()> {
    let mut divider = Divider {
        order,
        worker,
        open: None,
        count: 0,
    };
    image.ranges(&mut |range| divider.add(range))?;
    divider.close(image.length)
}

impl<'a> Divider<'_, '_, 'a> {
    fn add(&mut self, range: Range<'_, 'a>) -> Result<()> {
        if matches!(range.bytes, Bytes::Zeros) {
            return Ok(());
        }
        // usize to u64: lossless on every target Rust has.
        let chunk_length = length(self.order.blocks().length) as u64;
        let mut skip = 0;
        while skip < range.length {
            let start = range.start.saturating_add(skip);
            let at = start % chunk_length;
            let length = (range.length - skip).min(chunk_length - at);
            let chunk = self.chunk(start - at, start)?;
            let too_long = "a chunk does not fit into memory";
            let at = usize::try_from(at).context(too_long)?;
            let length = usize::try_from(length).context(too_long)?;
            // What is between this range and the previous one is zeros.
            chunk.zeros_to(at);
            match range.bytes {
                Bytes::Zeros => {}
                Bytes::Made(bytes) => {
                    let from = usize::try_from(skip).context(too_long)?;
                    let bytes = bytes.get(from..from.saturating_add(length));
                    chunk.add(bytes.context("a range is longer than its bytes")?)?;
                }
                Bytes::Copied { part, extent } => {
                    chunk.used = at.saturating_add(length);
                    chunk.pieces.push(Piece {
                        at,
                        length,
                        part,
                        extent,
                        skip,
                    });
                }
            }
            // usize to u64: lossless on every target Rust has.
            skip += length as u64;
        }
        Ok(())
    }

    /// Returns the chunk that begins at `start`, in bytes. `end` is the end of the previous one, at most.
    fn chunk(&mut self, start: u64, end: u64) -> Result<&mut Chunk<'a>> {
        // usize to u64: lossless on every target Rust has.
        let first = start / self.order.blocks().length as u64;
        if self.open.as_ref().is_some_and(|open| open.first != first) {
            self.close(end)?;
        }
        let chunk = match self.open.take() {
            Some(open) => open,
            None => {
                let mut chunk = self.order.empty(self.worker)?;
                chunk.number = self.count;
                chunk.first = first;
                chunk.used = 0;
                self.count += 1;
                chunk
            }
        };
        Ok(self.open.insert(chunk))
    }

    /// Gives the open chunk to the other threads. Its last block is complete, unless the disk ends
    /// within it, at `end` bytes.
    fn close(&mut self, end: u64) -> Result<()> {
        let Some(mut chunk) = self.open.take() else {
            return Ok(());
        };
        let blocks = self.order.blocks();
        let mut length = chunk.used.next_multiple_of(blocks.length);
        if !blocks.pad {
            // usize to u64: lossless on every target Rust has.
            let start = chunk.first.saturating_mul(blocks.length as u64);
            let rest = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
            length = length.min(rest);
        }
        chunk.zeros_to(length);
        self.order.submit(chunk);
        Ok(())
    }
}
