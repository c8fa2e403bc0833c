//! Reading all files on all cores: checksums of their data, and compressed data.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use super::census::Census;
use super::compression::Compression;
use super::ondisk::SECTOR_SIZE;
use super::segments::{self, Segment};
use crate::codec::Compressor;
use crate::fs::DataSource;
use crate::fs::number::index;
use crate::fs::source::{Opened, Opener};
use crate::progress;
use crate::tree::{Kind, Tree};

/// How many bytes and how many segments a thread takes at a time.
const BATCH_BYTES: u64 = 4 << 20;
const BATCH_SEGMENTS: usize = 256;

const SECTOR: usize = 4096;
const _: () = assert!(SECTOR as u64 == SECTOR_SIZE);

/// How a segment is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// As it is.
    Plain,
    /// Compressed, in an extent.
    Compressed(Part),
    /// Compressed, in the inode's items.
    Inline(Part),
}

/// A part of the file with compressed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub offset: u64,
    /// Number of bytes.
    pub length: u32,
}

/// What is to be read, and what for.
pub struct Reading<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Its inodes.
    pub census: &'a Census,
    /// The segments, in order.
    pub segments: &'a [Segment],
    /// How the segments are compressed, and the file for the compressed data.
    pub compression: Option<(Compression, &'a File)>,
    /// Number of threads.
    pub threads: usize,
}

/// What was read.
#[derive(Default)]
pub struct Read {
    /// How each segment is stored.
    pub stored: Vec<Stored>,
    /// The CRC-32C of every sector in an extent, in the order of the segments.
    pub sums: Vec<u32>,
}

impl Reading<'_> {
    /// Reads all segments.
    ///
    /// # Errors
    /// If a file can't be read or has changed, or the compressed data can't be written.
    pub fn read(&self) -> Result<Read> {
        let batches = batches(self.segments);
        let next = AtomicUsize::new(0);
        let end = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let mut results: Vec<Option<Result<Read>>> = Vec::new();
        results.resize_with(batches.len(), || None);
        let results = Mutex::new(results);
        let work = || {
            let mut reader = Reader::new(self, &end);
            while !stop.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(number) else {
                    break;
                };
                let result = reader.batch(batch);
                if result.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results[number] = Some(result);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.threads.min(batches.len()) {
                scope.spawn(work);
            }
            work();
        });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut all = Read::default();
        // Batches are taken in order, so none is missing before the first one that failed.
        for result in results.into_iter().flatten() {
            let read = result?;
            all.stored.extend(read.stored);
            all.sums.extend(read.sums);
        }
        Ok(all)
    }
}

/// Divides segments into batches.
fn batches(segments: &[Segment]) -> Vec<&[Segment]> {
    let mut batches = Vec::new();
    let mut rest = segments;
    while !rest.is_empty() {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take(BATCH_SEGMENTS)
            .take_while(|segment| {
                let room = bytes < BATCH_BYTES;
                bytes += u64::from(segment.length);
                room
            })
            .count();
        let (batch, after) = rest.split_at(count);
        batches.push(batch);
        rest = after;
    }
    batches
}

/// Reads batches on one thread.
struct Reader<'a> {
    reading: &'a Reading<'a>,
    /// The end of the compressed data so far, for all threads.
    end: &'a AtomicU64,
    opener: Opener,
    compressor: Option<Compressor>,
    buffer: Vec<u8>,
    compressed: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(reading: &'a Reading<'a>, end: &'a AtomicU64) -> Reader<'a> {
        Reader {
            reading,
            end,
            opener: Opener::default(),
            compressor: None,
            buffer: Vec::new(),
            compressed: Vec::new(),
        }
    }

    fn batch(&mut self, segments: &[Segment]) -> Result<Read> {
        let mut read = Read::default();
        // Compressed data of all segments, written together.
        let mut pending = Vec::new();
        for same in segments.chunk_by(|a, b| a.place == b.place) {
            let Some(place) = same.first().map(|segment| segment.place) else {
                continue;
            };
            let id = self.reading.census.id(place);
            let source = id.and_then(|id| DataSource::of_tree(self.reading.tree, id));
            let source = source.context("a segment is not of a file: this is a bug")?;
            let opened = self.opener.open(source)?;
            for segment in same {
                self.segment(&opened, source.length(), *segment, &mut read, &mut pending)?;
            }
        }
        if let Some((_, file)) = self.reading.compression {
            // usize to u64: lossless.
            let at = self.end.fetch_add(pending.len() as u64, Ordering::Relaxed);
            file.write_all_at(&pending, at)
                .context("writing compressed data to the work directory")?;
            for stored in &mut read.stored {
                if let Stored::Compressed(part) | Stored::Inline(part) = stored {
                    part.offset += at;
                }
            }
        }
        Ok(read)
    }

    /// Reads one segment of a file of `size` bytes. The offset of compressed data is relative to
    /// `pending`.
    fn segment(
        &mut self,
        opened: &Opened<'_>,
        size: u64,
        segment: Segment,
        read: &mut Read,
        pending: &mut Vec<u8>,
    ) -> Result<()> {
        let length = index(segment.length.into());
        self.buffer.resize(length, 0);
        opened.read(&mut self.buffer, segment.offset)?;
        progress::moved(length);
        let stored = self.compress(size, segment)?;
        match stored {
            Stored::Plain if size > segments::LONGEST_INLINE => sums(&self.buffer, &mut read.sums),
            Stored::Compressed(_) => sums(&self.compressed, &mut read.sums),
            Stored::Plain | Stored::Inline(_) => {}
        }
        // usize to u64: lossless.
        let offset = pending.len() as u64;
        let part = |part: Part| Part { offset, ..part };
        read.stored.push(match stored {
            Stored::Plain => Stored::Plain,
            Stored::Compressed(found) => {
                pending.extend_from_slice(&self.compressed);
                Stored::Compressed(part(found))
            }
            Stored::Inline(found) => {
                pending.extend_from_slice(&self.compressed);
                Stored::Inline(part(found))
            }
        });
        Ok(())
    }

    /// Compresses the segment in the buffer if that saves at least a sector, or if the whole file
    /// then fits into its inode's items.
    fn compress(&mut self, size: u64, segment: Segment) -> Result<Stored> {
        let Some((compression, _)) = self.reading.compression else {
            return Ok(Stored::Plain);
        };
        if self.compressor.is_none() {
            self.compressor = Some(Compressor::new(compression.codec())?);
        }
        let Some(compressor) = &mut self.compressor else {
            return Ok(Stored::Plain);
        };
        let whole = size < SECTOR_SIZE;
        if !whole && u64::from(segment.length) <= SECTOR_SIZE {
            return Ok(Stored::Plain);
        }
        self.compressed.clear();
        compressor.compress(&self.buffer, &mut self.compressed)?;
        // usize to u64: lossless.
        let length = self.compressed.len() as u64;
        let part = Part {
            offset: 0,
            length: u32::try_from(length)?,
        };
        let saves = length.next_multiple_of(SECTOR_SIZE) + SECTOR_SIZE
            <= u64::from(segment.length).next_multiple_of(SECTOR_SIZE);
        Ok(match whole {
            true if length < size && length <= segments::LONGEST_INLINE => Stored::Inline(part),
            false if saves => Stored::Compressed(part),
            _ => Stored::Plain,
        })
    }
}

/// Adds the checksum of each sector of `bytes` to `sums`. The rest of the last sector is zero.
fn sums(bytes: &[u8], sums: &mut Vec<u32>) {
    let (sectors, rest) = bytes.as_chunks::<SECTOR>();
    sums.extend(sectors.iter().map(|sector| crc32c::crc32c(sector)));
    if !rest.is_empty() {
        let mut sector = [0; SECTOR];
        sector[..rest.len()].copy_from_slice(rest);
        sums.push(crc32c::crc32c(&sector));
    }
}

/// Reads the data of small files while the metadata is written.
pub struct InlineReader<'a> {
    opener: Opener,
    tree: &'a Tree,
}

impl<'a> InlineReader<'a> {
    /// Makes a reader of files of `tree`.
    pub fn new(tree: &'a Tree) -> InlineReader<'a> {
        InlineReader {
            opener: Opener::default(),
            tree,
        }
    }

    /// Replaces `bytes` with the contents of the small file `id`.
    ///
    /// # Errors
    /// If the file can't be read or has changed.
    pub fn read(&mut self, id: crate::tree::InodeId, bytes: &mut Vec<u8>) -> Result<()> {
        let Kind::File(content) = &self.tree.inode(id).kind else {
            return Ok(());
        };
        bytes.resize(index(content.size), 0);
        let opened = self.opener.open(DataSource::Tree(content))?;
        opened.read(bytes, 0)
    }
}
