//! What becomes of the blocks of a chunk.

use std::ops::Range;

use anyhow::Result;

use super::{BlockSink, Blocks};
use crate::codec::Compressor;
use crate::holes;

/// The blocks of a chunk, encoded.
#[derive(Default)]
pub struct Encoded {
    blocks: Vec<Block>,
    compressed: Vec<u8>,
}

/// A block.
#[derive(Clone)]
enum Block {
    /// It has only zeros.
    Zeros,
    /// It is stored as it is.
    Plain,
    /// Where its compressed bytes are.
    Compressed(Range<usize>),
}

impl Encoded {
    /// Encodes the blocks of `bytes`. `compressor` is that of `blocks.codec`.
    ///
    /// # Errors
    /// If compressing fails.
    pub fn encode(
        &mut self,
        bytes: &[u8],
        blocks: &Blocks,
        mut compressor: Option<&mut Compressor>,
    ) -> Result<()> {
        self.blocks.clear();
        self.compressed.clear();
        for block in bytes.chunks(blocks.length) {
            let encoded = match &mut compressor {
                _ if holes::is_zeros(block) => Block::Zeros,
                None => Block::Plain,
                Some(compressor) => {
                    let start = self.compressed.len();
                    compressor.compress(block, &mut self.compressed)?;
                    if !blocks.always && self.compressed.len() - start >= block.len() {
                        self.compressed.truncate(start);
                        Block::Plain
                    } else {
                        Block::Compressed(start..self.compressed.len())
                    }
                }
            };
            self.blocks.push(encoded);
        }
        Ok(())
    }

    /// Passes the blocks of `bytes` to `sink`. They have `length` bytes each, and the first one has the
    /// number `first` on the disk.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn put(
        &self,
        first: u64,
        bytes: &[u8],
        length: usize,
        sink: &mut dyn BlockSink,
    ) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        let number = |index: usize| first.saturating_add(index as u64);
        // The first of the consecutive blocks that are stored as they are.
        let mut plain = None;
        for (index, block) in self.blocks.iter().enumerate() {
            match block {
                Block::Zeros => {}
                Block::Compressed(range) => {
                    sink.compressed(number(index), &self.compressed[range.clone()])?;
                }
                Block::Plain => {
                    let start = *plain.get_or_insert(index);
                    let next = index + 1;
                    if !matches!(self.blocks.get(next), Some(Block::Plain)) {
                        let end = next.saturating_mul(length).min(bytes.len());
                        sink.plain(number(start), &bytes[start * length..end])?;
                        plain = None;
                    }
                }
            }
        }
        Ok(())
    }
}
