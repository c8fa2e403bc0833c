//! Passing on of metadata in the order of the device: nodes in all copies of their chunks, and
//! superblocks between them.

use anyhow::{Context, Result};

use super::layout::{Layout, NodePlaces};
use super::ondisk::SuperBlock;
use crate::fs::number::index;

/// The function that receives metadata.
pub type Emit<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// Passes metadata on, and the superblocks before and after it.
pub struct Superblocks<'a> {
    /// The offsets of those that are to come, the next one last.
    pending: Vec<u64>,
    encode: &'a dyn Fn(u64) -> Result<Vec<u8>>,
    emit: &'a mut Emit<'a>,
}

impl<'a> Superblocks<'a> {
    /// Makes the superblocks of a device of `length` bytes. `encode` returns the one at an offset.
    pub fn new(
        length: u64,
        encode: &'a dyn Fn(u64) -> Result<Vec<u8>>,
        emit: &'a mut Emit<'a>,
    ) -> Superblocks<'a> {
        // usize to u64: lossless.
        let size = size_of::<SuperBlock>() as u64;
        let offsets = SuperBlock::OFFSETS.into_iter().rev();
        Superblocks {
            pending: offsets.filter(|offset| offset + size <= length).collect(),
            encode,
            emit,
        }
    }

    fn emit(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.before(offset)?;
        (self.emit)(offset, bytes)
    }

    fn before(&mut self, offset: u64) -> Result<()> {
        while let Some(next) = self.pending.pop_if(|next| *next < offset) {
            (self.emit)(next, &(self.encode)(next)?)?;
        }
        Ok(())
    }

    /// Passes on the superblocks that are left.
    ///
    /// # Errors
    /// Those of the receiver.
    pub fn finish(&mut self) -> Result<()> {
        self.before(u64::MAX)
    }
}

/// Keeps the nodes of a chunk, and passes them on when the chunk is complete.
pub struct NodeWriter<'a, 'b> {
    layout: &'a Layout,
    places: &'a NodePlaces,
    out: &'a mut Superblocks<'b>,
    /// The number of the next node.
    next: u64,
    chunk: Option<usize>,
    bytes: Vec<u8>,
    /// Where runs of adjacent nodes begin: address, and index in `bytes`.
    runs: Vec<(u64, usize)>,
}

impl<'a, 'b> NodeWriter<'a, 'b> {
    /// Makes a writer of nodes to `places`.
    pub fn new(
        layout: &'a Layout,
        places: &'a NodePlaces,
        out: &'a mut Superblocks<'b>,
    ) -> NodeWriter<'a, 'b> {
        NodeWriter {
            layout,
            places,
            out,
            next: 0,
            chunk: None,
            bytes: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Adds the next node.
    ///
    /// # Errors
    /// If there is no place for it, and those of the receiver.
    pub fn node(&mut self, node: &[u8]) -> Result<()> {
        let run = self.places.run(self.next);
        let run = run.context("there is no place for a node")?;
        if self.chunk != Some(run.chunk) {
            self.finish()?;
            self.chunk = Some(run.chunk);
        }
        if self.runs.is_empty() || run.first == self.next {
            self.runs.push((run.address(self.next), self.bytes.len()));
        }
        self.bytes.extend_from_slice(node);
        self.next += 1;
        Ok(())
    }

    /// Passes on all copies of the chunk.
    ///
    /// # Errors
    /// Those of the receiver.
    pub fn finish(&mut self) -> Result<()> {
        let Some(chunk) = self.chunk.take() else {
            return Ok(());
        };
        let chunk = self.layout.chunks.get(chunk);
        let chunk = chunk.context("there is no such chunk")?;
        for copy in chunk.copies() {
            for (number, &(address, from)) in self.runs.iter().enumerate() {
                let next = self.runs.get(number + 1);
                let to = next.map_or(self.bytes.len(), |&(_, from)| from);
                let bytes = self.bytes.get(from..to).unwrap_or_default();
                // In pieces, so that the receiver needs no long buffer.
                const PIECE: u64 = 1 << 20;
                let start = copy + (address - chunk.start);
                for (piece, bytes) in (0..).zip(bytes.chunks(index(PIECE))) {
                    self.out.emit(start + piece * PIECE, bytes)?;
                }
            }
        }
        self.bytes.clear();
        self.runs.clear();
        Ok(())
    }
}
