//! Writing a report, in the guest.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::{LONGEST_RECORD, RECORD, Record};
use crate::owner::Ids;

/// Bytes of a block of tar: a header is one, and what follows it takes whole ones.
const TAR_BLOCK: u64 = 512;

/// A report being written. When it has become longer than it may be, nothing more is written, and at
/// its end the error says how long it would have been.
pub struct Writer<W: Write> {
    to: Builder<W>,
    capacity: u64,
    needed: u64,
}

impl<W: Write> Writer<W> {
    /// To the beginning of `to`, which has room for `capacity` bytes.
    pub fn new(to: W, capacity: u64) -> Writer<W> {
        Writer {
            to: Builder::new(to),
            capacity,
            // The two blocks of zeros at the end.
            needed: 2 * TAR_BLOCK,
        }
    }

    /// What the names in the job stand for, in their order.
    ///
    /// # Errors
    /// Those of writing.
    pub fn owners(&mut self, owners: &[Ids]) -> io::Result<()> {
        self.bytes("owners", &serde_json::to_vec(owners)?)
    }

    /// The paths that were there before and are not any more, each followed by a NUL.
    ///
    /// # Errors
    /// Those of writing.
    pub fn gone(&mut self, paths: &[u8]) -> io::Result<()> {
        self.bytes("gone", paths)
    }

    /// Something new or changed. What `bytes` has more or less than `length` is cut or zeros.
    ///
    /// # Errors
    /// Those of reading and writing; a record that is too long.
    pub fn file(&mut self, record: &Record, length: u64, bytes: impl Read) -> io::Result<()> {
        let json = serde_json::to_vec(record)?;
        self.record("file", &json, length, bytes)
    }

    /// A part of the disk.
    ///
    /// # Errors
    /// Those of writing.
    pub fn area(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.record("area", name.as_bytes(), as_length(bytes), bytes)
    }

    /// The end, with the job's token. What was written is on the device, if it is a file or device.
    ///
    /// # Errors
    /// Those of writing. If there was too much: with the number of bytes.
    pub fn end(mut self, token: &str) -> io::Result<W> {
        self.bytes("end", token.as_bytes())?;
        if self.needed > self.capacity {
            return Err(io::Error::other(format!(
                "it takes {} bytes, and there is room for {}: what the image's own programs changed \
                 is too much for a diskSize like this",
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
        // The key, the length of all in decimal, and what is between them.
        let pax = as_length(record).saturating_add(as_length(RECORD.as_bytes()) + 23);
        if pax > LONGEST_RECORD {
            return Err(io::Error::other(format!(
                "what is to be said of it takes {pax} bytes, and the most is {LONGEST_RECORD}"
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

    /// Counts an entry of `length` bytes; whether there is room for it and all before.
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
