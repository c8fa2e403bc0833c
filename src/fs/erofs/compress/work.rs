//! The threads that compress.

use std::fs::File;
use std::iter;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};

use super::super::ondisk::BLOCK_SIZE;
use super::engine::Engine;
use super::{Compression, NONE, PIECE, Packed, Piece, is_candidate};
use crate::escape;
use crate::fs::number::index;
use crate::fs::source::Opener;
use crate::fs::{DataSource, FinishedFile};
use crate::progress;
use crate::tree::{Inode, InodeId, Kind, Tree};

/// The number of pieces that a thread compresses before it takes others.
const TOGETHER: u64 = 8;
/// What must be saved by dividing a piece, in bytes.
const LEAST_SAVED: usize = 192;
/// By how much the first part is shortened at least if it was too long, in bytes.
const MARGIN: usize = 32;
/// The number of places at which dividing a piece is tried.
const ATTEMPTS: usize = 3;
/// The size of a block.
const BLOCK: usize = 4096;

impl Packed {
    /// Compresses the files of `tree`, in the order `order`, with `threads` threads, to an unnamed
    /// file in `directory`. The layout that follows from the result does not depend on the number
    /// of threads.
    ///
    /// # Errors
    /// If a file can't be read or the compressed data can't be written.
    pub fn new(
        tree: &Tree,
        order: &[InodeId],
        compression: Compression,
        directory: &Path,
        threads: usize,
    ) -> Result<Packed> {
        let writing = || writing(directory);
        let output = tempfile::NamedTempFile::new_in(directory).with_context(writing)?;
        let work = Work {
            tree,
            order,
            compression,
            output: output.as_file(),
            directory,
            next: Mutex::new(Next { file: 0, piece: 0 }),
            end: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        };
        let mut done = work.all(threads)?;
        done.sort_unstable_by_key(|done| (done.file, done.offset));
        let mut first = vec![NONE; tree.inodes().len()];
        for (number, done) in (0u32..).zip(&done) {
            if done.offset == 0 {
                first[order[done.file].index()] = number;
            }
        }
        // Numbers end before `NONE`.
        ensure!(
            index(NONE.into()) > done.len(),
            "too many files to compress"
        );
        let pieces = done.into_iter().map(|done| done.piece).collect();
        let file = FinishedFile::open(output.path())?;
        output.close().with_context(writing)?;
        Ok(Packed {
            compression,
            file,
            pieces,
            first,
        })
    }
}

/// The file that is next, and its next piece.
struct Next {
    file: usize,
    piece: u64,
}

/// Some pieces of a file.
struct Job {
    /// The file's index in the order.
    file: usize,
    id: InodeId,
    pieces: Range<u64>,
}

/// A piece that was compressed, or not.
struct Done {
    /// The file's index in the order.
    file: usize,
    /// Where the piece begins in the file, in bytes.
    offset: u64,
    piece: Piece,
}

struct Work<'a> {
    tree: &'a Tree,
    order: &'a [InodeId],
    compression: Compression,
    output: &'a File,
    directory: &'a Path,
    next: Mutex<Next>,
    /// The number of blocks in the output that are taken.
    end: AtomicU64,
    failed: AtomicBool,
}

impl Work<'_> {
    /// Returns all pieces.
    fn all(&self, threads: usize) -> Result<Vec<Done>> {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.max(1))
                .map(|_| scope.spawn(|| self.some()))
                .collect();
            let mut all = Vec::new();
            for thread in threads {
                let pieces = thread
                    .join()
                    .map_err(|_| anyhow!("a thread that compresses has panicked"))?;
                all.append(&mut pieces?);
            }
            Ok(all)
        })
    }

    fn some(&self) -> Result<Vec<Done>> {
        let result = self.until_done();
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    fn until_done(&self) -> Result<Vec<Done>> {
        let mut packer = Packer {
            engine: Engine::new(self.compression)?,
            store: self,
            compressed: Vec::new(),
        };
        let mut opener = Opener::default();
        let mut bytes = Vec::new();
        let mut done = Vec::new();
        while let Some(job) = self.take() {
            let Some(source) = DataSource::of_tree(self.tree, job.id) else {
                continue;
            };
            let size = source.length();
            let opened = opener.open(source)?;
            for number in job.pieces {
                let range = piece(size, number);
                bytes.resize(index(range.end - range.start), 0);
                opened.read(&mut bytes, range.start)?;
                progress::moved(bytes.len());
                let room = match range.end == size {
                    true => room(self.tree.inode(job.id), size),
                    false => 0,
                };
                let mut offset = range.start;
                for piece in packer.pack(&bytes, room)? {
                    let file = job.file;
                    done.push(Done {
                        file,
                        offset,
                        piece,
                    });
                    offset += u64::from(piece.size);
                }
            }
        }
        Ok(done)
    }

    fn take(&self) -> Option<Job> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if self.failed.load(Ordering::Relaxed) {
            return None;
        }
        loop {
            let &id = self.order.get(next.file)?;
            let count = match &self.tree.inode(id).kind {
                Kind::File(content) if is_candidate(content) => piece_count(content.size),
                _ => 0,
            };
            if next.piece >= count {
                next.file += 1;
                next.piece = 0;
                continue;
            }
            let end = count.min(next.piece + TOGETHER);
            let pieces = next.piece..end;
            next.piece = end;
            let file = next.file;
            return Some(Job { file, id, pieces });
        }
    }

    /// Writes `compressed`, the result for `size` bytes, to the output.
    fn store(&self, size: usize, compressed: &mut Vec<u8>) -> Result<Piece> {
        // usize to u64: lossless on every target Rust has.
        let length = compressed.len() as u64;
        let blocks = length.div_ceil(BLOCK_SIZE);
        let at = self.end.fetch_add(blocks, Ordering::Relaxed);
        let padding = index(blocks * BLOCK_SIZE - length);
        compressed.splice(0..0, iter::repeat_n(0, padding));
        self.output
            .write_all_at(compressed, at * BLOCK_SIZE)
            .with_context(|| writing(self.directory))?;
        Ok(Piece {
            size: u32::try_from(size)?,
            at: u32::try_from(at).context("more than 16 TiB of compressed data")?,
            length: u32::try_from(length)?,
        })
    }
}

/// Compresses pieces in one thread.
struct Packer<'a> {
    engine: Engine,
    store: &'a Work<'a>,
    compressed: Vec<u8>,
}

impl Packer<'_> {
    /// Compresses `bytes` and writes the result to the output, in one or two pieces. Two pieces are
    /// better if the first fills its blocks, and the second can be stored with the inode, where
    /// there is `room` for it.
    fn pack(&mut self, bytes: &[u8], room: usize) -> Result<Vec<Piece>> {
        self.engine.compress(bytes, &mut self.compressed)?;
        if !is_shorter(bytes, &self.compressed) {
            return Ok(vec![Piece {
                size: u32::try_from(bytes.len())?,
                ..Piece::default()
            }]);
        }
        if let Some(pieces) = self.divide(bytes, room)? {
            return Ok(pieces.into());
        }
        Ok(vec![self.store.store(bytes.len(), &mut self.compressed)?])
    }

    /// Compresses `bytes` in two pieces, if that takes less space. `self.compressed` is all of them
    /// in one piece.
    fn divide(&mut self, bytes: &[u8], room: usize) -> Result<Option<[Piece; 2]>> {
        let length = self.compressed.len();
        let full = length / BLOCK * BLOCK;
        let rest = length - full;
        let unused = rest.next_multiple_of(BLOCK) - rest;
        if full == 0 || unused < LEAST_SAVED || rest > room {
            return Ok(None);
        }
        let Some((at, mut head)) = self.head(bytes, full)? else {
            return Ok(None);
        };
        let mut tail = Vec::new();
        self.engine.compress(&bytes[at..], &mut tail)?;
        let is_better = tail.len() + LEAST_SAVED <= BLOCK
            && tail.len() <= room
            && is_shorter(&bytes[..at], &head)
            && is_shorter(&bytes[at..], &tail);
        if !is_better {
            return Ok(None);
        }
        Ok(Some([
            self.store.store(at, &mut head)?,
            self.store.store(bytes.len() - at, &mut tail)?,
        ]))
    }

    /// Finds a beginning of `bytes` that takes at most `full` bytes, and little less. `self.compressed` is
    /// what all of `bytes` take, which is more.
    fn head(&mut self, bytes: &[u8], full: usize) -> Result<Option<(usize, Vec<u8>)>> {
        let mut head = Vec::new();
        let mut at = scaled(bytes.len(), full, self.compressed.len());
        for _ in 0..ATTEMPTS {
            if at <= full {
                return Ok(None);
            }
            self.engine.compress(&bytes[..at], &mut head)?;
            if head.len() <= full {
                return Ok(Some((at, head)));
            }
            let excess = head.len() - full;
            at = at.saturating_sub(scaled(at, excess, head.len()) + MARGIN);
        }
        Ok(None)
    }
}

/// Returns `value` times `numerator` divided by `denominator`. All are lengths of pieces.
fn scaled(value: usize, numerator: usize, denominator: usize) -> usize {
    // usize to u64: lossless on every target Rust has.
    let product = value as u64 * numerator as u64;
    index(product / (denominator as u64).max(1))
}

/// Returns how much compressed data can certainly be stored with an inode whose file has `size`
/// bytes.
fn room(inode: &Inode, size: u64) -> usize {
    let xattrs = &inode.metadata.xattrs;
    // At least what each attribute takes with its header.
    let lengths = xattrs
        .iter()
        .map(|xattr| xattr.name.len() + xattr.value.len() + 16);
    // Two bytes for each block, and some for the inode and the header of the index.
    let others = index(size.div_ceil(BLOCK_SIZE).saturating_mul(2));
    let taken = lengths
        .sum::<usize>()
        .saturating_add(others)
        .saturating_add(192);
    BLOCK.saturating_sub(taken)
}

/// Returns whether compression saves a block, or any bytes of what may be stored with the inode.
fn is_shorter(bytes: &[u8], compressed: &[u8]) -> bool {
    let (before, after) = (bytes.len(), compressed.len());
    let is_shorter = match before <= BLOCK {
        true => after < before,
        false => after.div_ceil(BLOCK) < before.div_ceil(BLOCK),
    };
    // The reader takes zeros before the compressed bytes for padding. Deflate can begin with one,
    // in a block of bytes that are not compressed.
    is_shorter && compressed.first() != Some(&0)
}

/// Returns the number of pieces of a file of `size` bytes.
fn piece_count(size: u64) -> u64 {
    (size / PIECE).max(1)
}

/// Returns the piece `number` of a file of `size` bytes, as a range of bytes.
fn piece(size: u64, number: u64) -> Range<u64> {
    let start = number * PIECE;
    match number + 1 == piece_count(size) {
        true => start..size,
        false => start..start + PIECE,
    }
}

fn writing(directory: &Path) -> String {
    let directory = escape::path(directory);
    format!("writing compressed data to a file in {directory}")
}
