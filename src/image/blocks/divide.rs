//! Divides a disk into chunks.

use anyhow::{Context, Result};

use super::chunk::{self, Chunk};
use super::order::{Order, Worker};
use crate::image::Image;
use crate::image::ranges::{Bytes, Range};

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
        let chunk_length = chunk::length(self.order.blocks().length) as u64;
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
                    chunk.add_copied(part, extent, skip, length);
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
                chunk.start(self.count, first);
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
        let mut length = chunk.used().next_multiple_of(blocks.length);
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
