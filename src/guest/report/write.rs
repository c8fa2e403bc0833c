//! Writes a report, in the guest.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::{MAX_RECORD, RECORD, Record};
use crate::owner::Ids;

/// The block size of tar, in bytes. A header takes one block, and the content whole blocks.
const TAR_BLOCK: u64 = 512;

/// Writes a report. If it exceeds its capacity, nothing more is written, and [`Writer::end`] returns an
/// error with the length that it would have had.
pub struct Writer<W: Write> {
    to: Builder<W>,
    capacity: u64,
    needed: u64,
}

impl<W: Write> Writer<W> {
    /// Returns a writer to `to`, which has space for `capacity` bytes.
    pub fn new(to: W, capacity: u64) -> Writer<W> {
        Writer {
            to: Builder::new(to),
            capacity,
            // The two blocks of zeros at the end.
            needed: 2 * TAR_BLOCK,
        }
    }

    /// Writes the IDs of the owners in the job, in the same order.
    ///
    /// # Errors
    /// If writing fails.
    pub fn owners(&mut self, owners: &[Ids]) -> io::Result<()> {
        self.bytes("owners", &serde_json::to_vec(owners)?)
    }

    /// Writes the deleted paths, each followed by a NUL.
    ///
    /// # Errors
    /// If writing fails.
    pub fn gone(&mut self, paths: &[u8]) -> io::Result<()> {
        self.bytes("gone", paths)
    }

    /// Writes a new or changed file. `bytes` is truncated, or padded with zeros, to `length`.
    ///
    /// # Errors
    /// If reading or writing fails, or the record is too long.
    pub fn file(&mut self, record: &Record, length: u64, bytes: impl Read) -> io::Result<()> {
        let json = serde_json::to_vec(record)?;
        self.record("file", &json, length, bytes)
    }

    /// Writes a part of the disk.
    ///
    /// # Errors
    /// If writing fails.
    pub fn area(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.record("area", name.as_bytes(), as_length(bytes), bytes)
    }

    /// Writes the last entry, with the job's token, and flushes `to`.
    ///
    /// # Errors
    /// If writing fails, or the report exceeds its capacity.
    pub fn end(mut self, token: &str) -> io::Result<W> {
        self.bytes("end", token.as_bytes())?;
        if self.needed > self.capacity {
            return Err(io::Error::other(format!(
                "it needs {} bytes, but its disk has only {}: the image's own programs changed too \
                 much for this diskSize",
                self.needed, self.capacity
            )));
        }
        let mut to = self.to.into_inner()?;
        to.flush()?;
        Ok(to)
    }

    #[cfg(test)]
    pub(super) fn needed(&self) -> u64 {
        self.needed
    }

    fn record(
        &mut self,
        name: &str,
        record: &[u8],
        length: u64,
        bytes: impl Read,
    ) -> io::Result<()> {
        // The value, the key, the length in decimal, and separators.
        let pax = as_length(record).saturating_add(as_length(RECORD.as_bytes()) + 23);
        if pax > MAX_RECORD {
            return Err(io::Error::other(format!(
                "its record takes {pax} bytes; the limit is {MAX_RECORD}"
            )));
        }
        if self.take(pax) {
            self.to.append_pax_extensions([(RECORD, record)])?;
        }
        self.entry(name, length, bytes)
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.entry(name, as_length(bytes), bytes)
    }

    fn entry(&mut self, name: &str, length: u64, bytes: impl Read) -> io::Result<()> {
        if !self.take(length) {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(length);
        header.set_mode(0o600);
        header.set_cksum();
        let bytes = bytes.chain(io::repeat(0)).take(length);
        self.to.append_data(&mut header, name, bytes)
    }

    /// Counts an entry of `length` bytes. Returns whether it and all previous ones fit.
    fn take(&mut self, length: u64) -> bool {
        let blocks = length.div_ceil(TAR_BLOCK).saturating_add(1);
        self.needed = self.needed.saturating_add(blocks.saturating_mul(TAR_BLOCK));
        self.needed <= self.capacity
    }
}

fn as_length(bytes: &[u8]) -> u64 {
    // usize to u64: lossless on every target Rust has.
    bytes.len() as u64
}
