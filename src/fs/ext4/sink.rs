//! Gathers small pieces of metadata into large ones.

use anyhow::Result;

use super::ondisk::BLOCK_SIZE;

/// Bytes after which what has been gathered is handed on.
const ENOUGH: usize = 1 << 20;

/// Where metadata goes.
pub type Emit<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// Hands pieces that touch each other to `emit` as one.
pub struct Sink<'a> {
    emit: &'a mut Emit<'a>,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Sink<'a> {
    /// A sink that hands on to `emit`.
    pub fn new(emit: &'a mut Emit<'a>) -> Sink<'a> {
        Sink {
            emit,
            start: 0,
            bytes: Vec::with_capacity(ENOUGH),
        }
    }

    /// Takes `bytes`, which begin at the byte `offset`.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn bytes(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        // usize to u64: lossless.
        if offset != self.start + self.bytes.len() as u64 || self.bytes.len() >= ENOUGH {
            self.flush()?;
            self.start = offset;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes `bytes`, which begin at the block `block`.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn blocks(&mut self, block: u64, bytes: &[u8]) -> Result<()> {
        self.bytes(block * BLOCK_SIZE, bytes)
    }

    /// Hands on what is left.
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
