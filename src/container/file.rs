//! The image file.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nix::libc;
use zerocopy::{FromBytes, IntoBytes};

use super::cache::Cache;
use crate::holes;

/// Table entries are read in pieces of this many bytes.
const PIECE: u64 = 16 << 10;

/// Pieces of tables are kept up to this many bytes.
const CACHED: usize = 4 << 20;

/// An image file, or a disk of this machine.
pub struct ImageFile {
    file: File,
    pieces: RefCell<Cache<Vec<u8>>>,
    /// Its length in bytes.
    pub length: u64,
}

impl ImageFile {
    /// Opens a file or a block device. It does not wait for the other end of a FIFO.
    ///
    /// # Errors
    /// If it cannot be opened, or is neither a file nor a block device.
    pub fn open(path: &Path) -> Result<ImageFile> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .context("opening the image")?;
        let kind = file.metadata().context("getting its type")?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            bail!(
                "it is {}: only files and block devices can be inspected",
                match () {
                    () if kind.is_dir() => "a directory",
                    () if kind.is_fifo() => "a FIFO",
                    () if kind.is_socket() => "a socket",
                    () => "a character device",
                }
            );
        }
        let length = file.seek(SeekFrom::End(0)).context("getting its length")?;
        Ok(ImageFile {
            file,
            pieces: RefCell::new(Cache::new(CACHED)),
            length,
        })
    }

    /// Fills `buffer` with the bytes of the file from `at` on, which messages call `what`.
    ///
    /// # Errors
    /// If the file cannot be read, or ends too early.
    pub fn read(&self, at: u64, buffer: &mut [u8], what: &str) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        self.check(at, buffer.len() as u64, what)?;
        self.file
            .read_exact_at(buffer, at)
            .with_context(|| format!("reading {what}, {} bytes at offset {at}", buffer.len()))
    }

    /// Checks that the file has the `length` bytes at `at`, which messages call `what`.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self, at: u64, length: u64, what: &str) -> Result<()> {
        let end = at.checked_add(length);
        ensure!(
            end.is_some_and(|end| end <= self.length),
            "{what} of {length} bytes begins at byte {at} of the file, which ends at {}: it is \
             truncated or damaged",
            self.length
        );
        Ok(())
    }

    /// Fills `buffer` with the bytes of the file from `at` on. What is beyond its end is zeros: the last
    /// block of a file need not be complete.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_padded(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            // As in `read`.
            let position = at.saturating_add(done as u64);
            match self.file.read_at(&mut buffer[done..], position) {
                Ok(0) => {
                    buffer[done..].fill(0);
                    break;
                }
                Ok(count) => done = done.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("reading the file at byte {position}"));
                }
            }
        }
        Ok(())
    }

    /// Reads the structure at `at`, which messages call `what`.
    ///
    /// # Errors
    /// As for [`ImageFile::read`].
    pub fn structure<T: FromBytes + IntoBytes>(&self, at: u64, what: &str) -> Result<T> {
        let mut found = T::new_zeroed();
        self.read(at, found.as_mut_bytes(), what)?;
        Ok(found)
    }

    /// Reads entry `number` of the table at `table`, whose entries have `N` bytes. `table` is a multiple
    /// of `N`. Messages call the entry `what`.
    ///
    /// # Errors
    /// As for [`ImageFile::read`].
    pub fn entry<const N: usize>(&self, table: u64, number: u64, what: &str) -> Result<[u8; N]> {
        // As in `read`.
        let size = N as u64;
        let at = number
            .checked_mul(size)
            .and_then(|at| at.checked_add(table));
        let at = at.unwrap_or(u64::MAX);
        self.check(at, size, what)?;
        let start = at / PIECE * PIECE;
        let within = usize::try_from(at.saturating_sub(start))?;
        let mut pieces = self.pieces.borrow_mut();
        let piece = match pieces.get(start) {
            Some(piece) => piece,
            None => {
                let length = usize::try_from(PIECE.min(self.length.saturating_sub(start)))?;
                let mut piece = vec![0; length];
                self.read(start, &mut piece, what)?;
                pieces.put(start, piece, length)
            }
        };
        let entry = piece.get(within..).and_then(|rest| rest.first_chunk());
        // Offsets in damaged files need not be multiples.
        match entry {
            Some(entry) => Ok(*entry),
            None => {
                let mut entry = [0; N];
                self.read(at, &mut entry, what)?;
                Ok(entry)
            }
        }
    }

    /// Calls `each` with the first `count` entries of the table at `table` and their numbers. It returns
    /// whether the entry stands for a place in the file. Parts of the table that repeat one without such
    /// entries are skipped.
    ///
    /// # Errors
    /// As for [`ImageFile::read`], and those of `each`.
    pub fn each_entry<const N: usize>(
        &self,
        table: u64,
        count: u64,
        what: &str,
        each: &mut dyn FnMut(u64, [u8; N]) -> Result<bool>,
    ) -> Result<()> {
        // As in `read`.
        let (piece, size) = (PIECE / N as u64, N as u64);
        let mut idle = Vec::new();
        let most = usize::try_from(PIECE.min(count.saturating_mul(size)))?;
        let mut bytes = vec![0; most];
        let mut number = 0_u64;
        while number < count {
            let now = piece.min(count.saturating_sub(number));
            let length = usize::try_from(now.saturating_mul(size))?;
            let at = table.saturating_add(number.saturating_mul(size));
            self.read(at, &mut bytes[..length], what)?;
            let is_last = number.saturating_add(now) >= count;
            if bytes[..length] != idle[..] {
                let mut is_idle = true;
                let (entries, _) = bytes[..length].as_chunks();
                for (number, entry) in (number..).zip(entries) {
                    is_idle &= !each(number, *entry)?;
                }
                if is_idle && !is_last {
                    idle.clear();
                    idle.extend_from_slice(&bytes[..length]);
                }
            }
            number = number.saturating_add(now);
        }
        Ok(())
    }

    /// Returns the first byte from `at` on that is not in a hole of the file, or the length of the file.
    ///
    /// # Errors
    /// If seeking fails.
    pub fn next_data(&self, at: u64) -> Result<u64> {
        let found = holes::next_data(&self.file, at).context("looking for holes in the file")?;
        Ok(found.unwrap_or(self.length).min(self.length))
    }

    /// Returns the first byte from `at` on that is in a hole of the file, or the length of the file.
    ///
    /// # Errors
    /// If seeking fails.
    pub fn next_hole(&self, at: u64) -> Result<u64> {
        let found = holes::next_hole(&self.file, at).context("looking for holes in the file")?;
        Ok(found.unwrap_or(self.length).min(self.length))
    }
}
