//! What one thread does to write an image, and what it keeps from file to file.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::batch::BLOCK;
use super::copy::{InKernel, Range, data_ranges, read};
use super::queue::{Buffer, Queue};
use super::source::{Opened, Opener, check_time, open, slice};
use super::target::Target;
use crate::escape;
use crate::fs::DataExtent;
use crate::tree::Tree;

/// One thread.
pub struct Worker<'a> {
    target: &'a Target<'a>,
    queue: &'a Queue<'a>,
    buffer: Buffer,
    in_kernel: InKernel,
    opener: Opener,
}

impl<'a> Worker<'a> {
    /// A thread that writes to `target`, and to that by way of `queue`.
    pub fn new(target: &'a Target<'a>, queue: &'a Queue<'a>) -> Worker<'a> {
        Worker {
            target,
            queue,
            buffer: Buffer::default(),
            in_kernel: InKernel::new(&target.file),
            opener: Opener::default(),
        }
    }

    /// Copies the file `source`, without its holes, to `start` on the disk, where there is `room`
    /// for as many bytes.
    ///
    /// # Errors
    /// If it is longer, and if reading or writing fails.
    pub fn file(&mut self, source: &Path, start: u64, room: u64) -> Result<()> {
        let (input, length) = open(source)?;
        ensure!(
            length <= room,
            "{} has {length} bytes and its place on the disk {room}",
            escape::path(source)
        );
        for (from, length) in data_ranges(&input, source, length)? {
            let range = Range {
                from,
                to: start + from,
                length,
            };
            self.copy(&input, || source.to_owned(), range)?;
        }
        Ok(())
    }

    /// Reads extents of files of `tree` that are neighbours, and writes them as one. `start` is
    /// where their file system begins on the disk, in bytes.
    ///
    /// # Errors
    /// If a file can't be read or has changed, and if writing fails.
    pub fn extents(&mut self, tree: &Tree, extents: &[DataExtent], start: u64) -> Result<()> {
        let block = usize::try_from(BLOCK).context("a block beyond the memory")?;
        let mut bytes = 0;
        self.buffer
            .begin(extents.first().map_or(0, |first| start + first.offset));
        for extent in extents {
            let length = usize::try_from(extent.length).context("an extent beyond the memory")?;
            let room = self.buffer.free().get_mut(..length);
            let room = room.context("more extents than a buffer holds")?;
            self.opener
                .open(tree, extent)?
                .read(room, extent.file_offset)?;
            self.buffer.use_free(length);
            self.buffer.pad(block);
            bytes += extent.length;
        }
        self.flush()?;
        self.target.add_progress(bytes);
        Ok(())
    }

    /// Copies `range`, a part of the large `extent` of a file of `tree`.
    ///
    /// # Errors
    /// As [`Worker::extents`].
    pub fn piece(&mut self, tree: &Tree, extent: &DataExtent, range: Range) -> Result<()> {
        match self.opener.open(tree, extent)? {
            Opened::Bytes(bytes) => {
                let length =
                    usize::try_from(range.length).context("an extent beyond the memory")?;
                self.gather(slice(bytes, range.from, length)?, range.to)?;
                self.flush()?;
            }
            Opened::File(input, source) => {
                self.copy(&input, || source.path(), range)?;
                check_time(&input, source)?;
            }
        }
        self.target.add_progress(range.length);
        Ok(())
    }

    /// Adds `bytes`, which belong at `offset` on the disk, to what is to be written, and writes
    /// that where they are not its neighbours.
    ///
    /// # Errors
    /// If writing fails.
    pub fn gather(&mut self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
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

    /// Writes what was gathered.
    ///
    /// # Errors
    /// If that fails.
    pub fn flush(&mut self) -> Result<()> {
        self.queue.put(&mut self.buffer)
    }

    /// Copies `range` of `input`, whose path is for messages.
    fn copy(&mut self, input: &File, path: impl Fn() -> PathBuf, range: Range) -> Result<()> {
        let mut range = self.in_kernel.copy(input, &self.target.file, range);
        while range.length > 0 {
            self.buffer.begin(range.to);
            let room = self.buffer.free();
            let want =
                usize::try_from(range.length).map_or(room.len(), |length| length.min(room.len()));
            read(input, &path, &mut room[..want], range.from)?;
            self.buffer.use_free(want);
            self.flush()?;
            // usize to u64: lossless on every target Rust has.
            range = range.behind(want as u64);
        }
        Ok(())
    }
}
