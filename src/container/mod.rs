//! Reads disk images in all formats that this program writes, and finds out by its contents which
//! format a file has.
//!
//! A [`Disk`] is what a virtual machine would see. A format only says where bytes of the disk are in
//! the file ([`Map`]); reading, decompressing and caching are the same for all. No table is kept in
//! memory: entries are read from the file when they are needed, through a small cache. So memory does
//! not depend on the sizes that a file claims.

mod cache;
mod claims;
mod decompress;
mod detect;
mod facts;
mod file;
mod qcow2;
mod raw;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

pub(crate) use facts::Facts;

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::cache::Cache;
use self::decompress::Method;
use self::file::ImageFile;

/// Where the bytes of a disk from some place on are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    /// For how many bytes this is true; not 0.
    length: u64,
    place: Place,
}

/// Where bytes of a disk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nowhere: they are zeros.
    Zeros,
    /// In the file, from this offset on. Beyond the end of the file, they are zeros.
    Stored(u64),
    /// In a compressed block.
    Compressed(Compressed),
}

/// A compressed block of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Compressed {
    /// Where its data begins in the file, in bytes.
    offset: u64,
    /// The length of its data in bytes, or more.
    length: usize,
    /// The first byte of the block on the disk.
    start: u64,
    /// The length of the block in bytes.
    block: usize,
    method: Method,
}

/// What a format says about a file.
trait Map {
    /// Where the bytes from `at` on are, which is less than the length of the disk. The extent may
    /// extend beyond the disk.
    ///
    /// # Errors
    /// If the file cannot be read, or is damaged.
    fn extent(&self, file: &ImageFile, at: u64) -> Result<Extent>;
}

/// What a format found when it opened a file.
struct Opened {
    map: Box<dyn Map>,
    /// The length of the disk in bytes.
    length: u64,
    /// The length of a sector in bytes, if the format says it.
    sector: Option<u64>,
    facts: Facts,
}

/// A disk in an image file.
pub(crate) struct Disk {
    file: ImageFile,
    map: Box<dyn Map>,
    blocks: RefCell<Cache<Vec<u8>>>,
    /// Pieces of the disk around short reads, by the offset of their first byte.
    pieces: RefCell<Cache<Vec<u8>>>,
    /// Its length in bytes.
    pub length: u64,
    /// The length of a sector in bytes, if the format says it.
    pub sector: Option<u64>,
    /// The format and what else the file says about itself.
    pub facts: Facts,
}

/// Reads of at most this many bytes are short.
const SHORT: usize = 4096;

/// The length of the pieces that short reads read, in bytes.
const PIECE: u64 = 16 << 10;

/// Decompressed blocks, and pieces, are kept up to this many bytes.
const CACHED: usize = 16 << 20;

impl Disk {
    /// Opens an image file or a block device.
    ///
    /// # Errors
    /// If it cannot be read, is in a format that is not supported, or is damaged.
    pub fn open(path: &Path) -> Result<Disk> {
        let file = ImageFile::open(path)?;
        let kind = detect::kind(&file)?;
        let opened = kind
            .open(&file)
            .with_context(|| format!("reading a file in the {} format", kind.name()))?;
        Ok(Disk {
            file,
            map: opened.map,
            blocks: RefCell::new(Cache::new(CACHED)),
            pieces: RefCell::new(Cache::new(CACHED)),
            length: opened.length,
            sector: opened.sector,
            facts: opened.facts,
        })
    }

    /// The length of the file in bytes.
    pub fn file_length(&self) -> u64 {
        self.file.length
    }

    /// Fills `buffer` with the bytes of the file, not of the disk, from `at` on. Beyond its end, they are
    /// zeros.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_file(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_padded(at, buffer)
    }

    /// Fills `buffer` with the bytes from `at` on, which messages call `what`.
    ///
    /// # Errors
    /// If the image cannot be read, is damaged, or ends too early.
    pub fn read(&self, at: u64, buffer: &mut [u8], what: &str) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        let end = at.saturating_add(buffer.len() as u64);
        if end > self.length {
            bail!(
                "{what} ends at byte {end}, but the image ends at {}: it is truncated",
                self.length
            );
        }
        match buffer.len() <= SHORT {
            true => self.read_short(at, buffer),
            false => self.read_long(at, buffer),
        }
    }

    /// Reads a few bytes, of which more will follow soon: inodes, directories, tables.
    fn read_short(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        let mut rest = buffer;
        let mut position = at;
        while !rest.is_empty() {
            let start = position / PIECE * PIECE;
            let mut pieces = self.pieces.borrow_mut();
            let piece = match pieces.get(start) {
                Some(piece) => piece,
                None => {
                    let length = PIECE.min(self.length.saturating_sub(start));
                    let mut piece = vec![0; usize::try_from(length)?];
                    self.read_long(start, &mut piece)?;
                    let length = piece.len();
                    pieces.put(start, piece, length)
                }
            };
            let within = usize::try_from(position.saturating_sub(start))?;
            let from = piece.get(within..).unwrap_or_default();
            let (now, later) = rest.split_at_mut(from.len().min(rest.len()));
            now.copy_from_slice(&from[..now.len()]);
            // usize to u64: lossless on every target Rust has.
            position = position.saturating_add(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    fn read_long(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        let mut position = at;
        let mut rest = buffer;
        while !rest.is_empty() {
            let extent = self.extent(position)?;
            let most = usize::try_from(extent.length).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at_mut(most.min(rest.len()));
            match extent.place {
                Place::Zeros => now.fill(0),
                Place::Stored(offset) => self.file.read_padded(offset, now)?,
                Place::Compressed(block) => self.copy(block, position, now)?,
            }
            // usize to u64: lossless on every target Rust has.
            position = position.saturating_add(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    /// Like [`Disk::read`], for as many bytes as the disk has from `at` on. Returns their number.
    ///
    /// # Errors
    /// As for [`Disk::read`].
    pub fn read_up_to(&self, at: u64, buffer: &mut [u8], what: &str) -> Result<usize> {
        let most = self.length.saturating_sub(at);
        let count = usize::try_from(most).map_or(buffer.len(), |most| most.min(buffer.len()));
        if count > 0 {
            self.read(at, &mut buffer[..count], what)?;
        }
        Ok(count)
    }

    /// Returns the first byte of `range` that may be something else than zero, without reading the data;
    /// the end of `range` if there is none.
    ///
    /// # Errors
    /// If the image cannot be read, or is damaged.
    pub fn next_data(&self, range: Range<u64>) -> Result<u64> {
        let end = range.end.min(self.length);
        let mut position = range.start;
        while position < end {
            let extent = self.extent(position)?;
            if extent.place != Place::Zeros {
                return Ok(position);
            }
            position = position.saturating_add(extent.length);
        }
        Ok(range.end)
    }

    fn extent(&self, at: u64) -> Result<Extent> {
        let extent = self.map.extent(&self.file, at);
        extent.with_context(|| format!("finding byte {at} of the disk"))
    }

    /// Fills `buffer` with bytes of a compressed block, from the byte `at` of the disk on.
    fn copy(&self, block: Compressed, at: u64, buffer: &mut [u8]) -> Result<()> {
        let mut blocks = self.blocks.borrow_mut();
        let bytes = match blocks.get(block.start) {
            Some(bytes) => bytes,
            None => {
                let bytes = decompress::block(&self.file, block).with_context(|| {
                    format!(
                        "decompressing the block of the disk from byte {} on, at byte {} of the file",
                        block.start, block.offset
                    )
                })?;
                let length = bytes.len();
                blocks.put(block.start, bytes, length)
            }
        };
        let within = usize::try_from(at.saturating_sub(block.start))?;
        let from = within
            .checked_add(buffer.len())
            .and_then(|end| bytes.get(within..end))
            .context("a block is shorter than it should be")?;
        buffer.copy_from_slice(from);
        Ok(())
    }
}

/// The extent of the rest of a block of `block` bytes from the byte `at` of the disk on, if the block
/// begins at `start` in the file.
fn rest_of_block(at: u64, block: u64, start: Option<u64>) -> Extent {
    let within = at % block;
    Extent {
        length: block.saturating_sub(within),
        place: match start {
            Some(start) => Place::Stored(start.saturating_add(within)),
            None => Place::Zeros,
        },
    }
}
