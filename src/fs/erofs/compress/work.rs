//! The threads that compress.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow};

use super::super::ondisk::BLOCK_SIZE;
use super::engine::Engine;
use super::{Compression, NONE, Packed, Piece, is_candidate, piece, piece_count};
use crate::escape;
use crate::fs::number::index;
use crate::fs::source::Opener;
use crate::fs::{DataSource, FinishedFile};
use crate::tree::{InodeId, Kind, Tree};

/// The number of pieces that a thread compresses before it takes others.
const TOGETHER: u64 = 8;

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
        let mut first = vec![NONE; tree.inodes().len()];
        let mut total = 0u64;
        for &id in order {
            if let Kind::File(content) = &tree.inode(id).kind
                && is_candidate(content)
            {
                first[id.index()] = u32::try_from(total)
                    .ok()
                    .filter(|&number| number != NONE)
                    .context("more than 1 PiB to compress")?;
                total += piece_count(content.size);
            }
        }
        let writing = || writing(directory);
        let output = tempfile::NamedTempFile::new_in(directory).with_context(writing)?;
        let work = Work {
            tree,
            order,
            first: &first,
            compression,
            output: output.as_file(),
            directory,
            next: Mutex::new(Next { file: 0, piece: 0 }),
            end: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        };
        let mut pieces = vec![Piece::default(); index(total)];
        for (number, piece) in work.all(threads)? {
            if let Some(place) = pieces.get_mut(index(number)) {
                *place = piece;
            }
        }
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
    id: InodeId,
    pieces: Range<u64>,
}

struct Work<'a> {
    tree: &'a Tree,
    order: &'a [InodeId],
    first: &'a [u32],
    compression: Compression,
    output: &'a File,
    directory: &'a Path,
    next: Mutex<Next>,
    /// The number of blocks in the output that are taken.
    end: AtomicU64,
    failed: AtomicBool,
}

impl Work<'_> {
    /// Returns all pieces that became shorter, with their numbers.
    fn all(&self, threads: usize) -> Result<Vec<(u64, Piece)>> {
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

    fn some(&self) -> Result<Vec<(u64, Piece)>> {
        let result = self.until_done();
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    fn until_done(&self) -> Result<Vec<(u64, Piece)>> {
        let mut engine = Engine::new(self.compression)?;
        let mut opener = Opener::default();
        let (mut bytes, mut compressed) = (Vec::new(), Vec::new());
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
                engine.compress(&bytes, &mut compressed)?;
                if let Some(piece) = self.store(&bytes, &mut compressed)? {
                    done.push((u64::from(self.first[job.id.index()]) + number, piece));
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
            return Some(Job { id, pieces });
        }
    }

    /// Writes a piece to the output, unless it has not become shorter.
    fn store(&self, bytes: &[u8], compressed: &mut Vec<u8>) -> Result<Option<Piece>> {
        // usize to u64: lossless on every target Rust has.
        let before = bytes.len() as u64;
        let after = compressed.len() as u64;
        // Files of up to a block may be stored after their inodes.
        let is_shorter = match before <= BLOCK_SIZE {
            true => after < before,
            false => after.div_ceil(BLOCK_SIZE) < before.div_ceil(BLOCK_SIZE),
        };
        // The reader takes zeros before the compressed bytes for padding. Deflate can begin with
        // one, in a block of bytes that are not compressed.
        if !is_shorter || compressed.first() == Some(&0) {
            return Ok(None);
        }
        let blocks = after.div_ceil(BLOCK_SIZE);
        let at = self.end.fetch_add(blocks, Ordering::Relaxed);
        let padding = index(blocks * BLOCK_SIZE - after);
        compressed.splice(0..0, std::iter::repeat_n(0, padding));
        self.output
            .write_all_at(compressed, at * BLOCK_SIZE)
            .with_context(|| writing(self.directory))?;
        Ok(Some(Piece {
            at: u32::try_from(at).context("more than 16 TiB of compressed data")?,
            length: u32::try_from(after)?,
        }))
    }
}

fn writing(directory: &Path) -> String {
    let directory = escape::path(directory);
    format!("writing compressed data to a file in {directory}")
}
