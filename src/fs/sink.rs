//! Merging of small adjacent pieces of metadata into large ones.

use anyhow::Result;

use super::BLOCK;

/// Number of bytes to collect before passing them on.
const BUFFER_SIZE: usize = 1 << 20;

/// The function that receives metadata.
pub type Emit<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// Merges adjacent pieces before passing them to `emit`.
pub struct Sink<'a> {
    emit: &'a mut Emit<'a>,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Sink<'a> {
    /// Makes a sink that passes its data to `emit`.
    pub fn new(emit: &'a mut Emit<'a>) -> Sink<'a> {
        Sink {
            emit,
            start: 0,
            bytes: Vec::with_capacity(BUFFER_SIZE),
        }
    }

    /// Adds `bytes`, which begin at the byte `offset`.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn bytes(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        // usize to u64: lossless.
        if offset != self.start + self.bytes.len() as u64 || self.bytes.len() >= BUFFER_SIZE {
            self.flush()?;
            self.start = offset;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds `bytes`, which begin at the block of 4 KiB with the number `block`.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn blocks(&mut self, block: u64, bytes: &[u8]) -> Result<()> {
        self.bytes(block * BLOCK, bytes)
    }

    /// Passes on the remaining bytes.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn flush(&mut self) -> Result<()> {
        if !self.bytes.is_empty() {
            (self.emit)(self.start, &self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}
