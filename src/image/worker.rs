//! The work of one thread that writes a part of an image, and the state that it keeps between
//! files.

use std::fs::File;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

use super::Part;
use super::batch::Batch;
use super::copy::CopyRange;
use super::extents::ExtentReader;
use super::queue::{Buffer, Queue};
use super::sink::Sink;
use crate::fs::source::{Opened, check_time, read, slice};
use crate::fs::{BLOCK, DataExtent};

/// The state of one thread.
pub struct Worker<'a> {
    sink: &'a dyn Sink,
    queue: &'a Queue<'a>,
    progress: &'a Progress<'a>,
    part: &'a Part,
    buffer: Buffer,
    files: ExtentReader<'a>,
    /// Whether to let the sink copy, until it fails to copy a whole range.
    sink_copies: bool,
}

/// Counts the bytes copied from files.
pub struct Progress<'a> {
    copied: AtomicU64,
    report: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Progress<'a> {
    /// Starts at 0. `report` is called with the new count whenever it grows.
    pub fn new(report: &'a (dyn Fn(u64) + Sync)) -> Progress<'a> {
        Progress {
            copied: AtomicU64::new(0),
            report,
        }
    }

    /// Adds `bytes`.
    pub fn add(&self, bytes: u64) {
        let before = self.copied.fetch_add(bytes, Ordering::Relaxed);
        (self.report)(before.saturating_add(bytes));
    }
}

impl<'a> Worker<'a> {
    /// Creates the state of a thread that passes bytes of `part` to `sink` through `queue`.
    pub fn new(
        sink: &'a dyn Sink,
        queue: &'a Queue<'a>,
        progress: &'a Progress<'a>,
        part: &'a Part,
    ) -> Worker<'a> {
        Worker {
            sink,
            queue,
            progress,
            part,
            buffer: Buffer::default(),
            files: ExtentReader::default(),
            sink_copies: true,
        }
    }

    /// Writes everything that is generated in memory.
    ///
    /// # Errors
    /// If it extends beyond the part, or writing fails.
    pub fn made(&mut self) -> Result<()> {
        let part = self.part;
        part.made(&mut |offset, bytes| self.gather(bytes, offset))?;
        self.flush()
    }

    /// Writes `batch` of `extents`, the extents of the part.
    ///
    /// # Errors
    /// If a file cannot be read or has changed, or writing fails.
    pub fn batch(&mut self, extents: &[DataExtent], batch: Batch) -> Result<()> {
        match batch {
            Batch::Small { first, end } => self.extents(&extents[first..end]),
            Batch::Piece {
                extent,
                skip,
                length,
            } => {
                let extent = &extents[extent];
                let range = CopyRange {
                    from: extent.file_offset + skip,
                    to: self.part.start + extent.offset + skip,
                    length,
                };
                self.piece(extent, range)
            }
        }
    }

    /// Reads adjacent extents, and writes them together.
    fn extents(&mut self, extents: &[DataExtent]) -> Result<()> {
        let part = self.part;
        let block = usize::try_from(BLOCK).context("a block does not fit into memory")?;
        let mut bytes = 0;
        self.buffer
            .begin(extents.first().map_or(0, |first| part.start + first.offset));
        for extent in extents {
            self.buffer.pad(block);
            let length =
                usize::try_from(extent.length).context("an extent does not fit into memory")?;
            let room = self.buffer.free().get_mut(..length);
            let room = room.context("the extents do not fit into a buffer")?;
            self.files.read(part, extent, 0, room)?;
            self.buffer.use_free(length);
            bytes += extent.length;
        }
        self.flush()?;
        self.progress.add(bytes);
        Ok(())
    }

    /// Copies `range`, a part of the large `extent`.
    fn piece(&mut self, extent: &DataExtent, range: CopyRange) -> Result<()> {
        let part = self.part;
        let mut files = mem::take(&mut self.files);
        match files.open(part, extent)? {
            Opened::Bytes(bytes) => {
                let length =
                    usize::try_from(range.length).context("an extent does not fit into memory")?;
                self.gather(slice(bytes, range.from, length)?, range.to)?;
                self.flush()?;
            }
            Opened::File(input, source) => {
                self.copy(input, || source.path(), range)?;
                check_time(input, source)?;
            }
            Opened::Finished(finished) => {
                self.copy(finished.file(), || finished.path().to_owned(), range)?;
            }
        }
        self.files = files;
        self.progress.add(range.length);
        Ok(())
    }

    /// Adds `bytes`, which belong at `offset` on the disk, to the buffer. Writes the buffer when it
    /// is full, or not adjacent to them.
    fn gather(&mut self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            if self.buffer.end() != offset || self.buffer.free().is_empty() {
                self.flush()?;
                self.buffer.begin(offset);
            }
            let added = self.buffer.add(bytes);
            bytes = &bytes[added..];
            // usize to u64: lossless on every target Rust has.
            offset += added as u64;
        }
        Ok(())
    }

    /// Writes the buffer.
    fn flush(&mut self) -> Result<()> {
        self.queue.put(&mut self.buffer)
    }

    /// Copies `range` of `input`. `path` is used in messages.
    fn copy(
        &mut self,
        input: &File,
        path: impl Fn() -> PathBuf,
        mut range: CopyRange,
    ) -> Result<()> {
        if self.sink_copies {
            range = self.sink.copy(input, range);
            self.sink_copies = range.length == 0;
        }
        while range.length > 0 {
            self.buffer.begin(range.to);
            let room = self.buffer.free();
            let want =
                usize::try_from(range.length).map_or(room.len(), |length| length.min(room.len()));
            read(input, &path, &mut room[..want], range.from)?;
            self.buffer.use_free(want);
            self.flush()?;
            // usize to u64: lossless on every target Rust has.
            range = range.after(want as u64);
        }
        Ok(())
    }
}
