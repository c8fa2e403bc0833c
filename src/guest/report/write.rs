//! Writing a report, in the guest.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::{RECORD, Record};
use crate::owner::Ids;

/// A report being written.
pub struct Writer<W: Write>(Builder<W>);

impl<W: Write> Writer<W> {
    /// To the beginning of `to`.
    pub fn new(to: W) -> Writer<W> {
        Writer(Builder::new(to))
    }

    /// What the names in the job stand for, in their order.
    ///
    /// # Errors
    /// Those of writing.
    pub fn owners(&mut self, owners: &[Ids]) -> io::Result<()> {
        self.bytes("owners", &serde_json::to_vec(owners)?)
    }

    /// Every path outside of the store, each followed by a NUL.
    ///
    /// # Errors
    /// Those of writing.
    pub fn paths(&mut self, paths: &[u8]) -> io::Result<()> {
        self.bytes("paths", paths)
    }

    /// Something new or changed. What `bytes` has more or less than `length` is cut or zeros.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn file(&mut self, record: &Record, length: u64, bytes: impl Read) -> io::Result<()> {
        let json = serde_json::to_vec(record)?;
        self.0.append_pax_extensions([(RECORD, json.as_slice())])?;
        let bytes = bytes.chain(io::repeat(0)).take(length);
        self.0.append_data(&mut header(length), "file", bytes)
    }

    /// A part of the disk.
    ///
    /// # Errors
    /// Those of writing.
    pub fn area(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.append_pax_extensions([(RECORD, name.as_bytes())])?;
        self.bytes("area", bytes)
    }

    /// The end. What was written is on the device, if it is a file or device.
    ///
    /// # Errors
    /// Those of writing.
    pub fn end(mut self) -> io::Result<W> {
        self.bytes("end", b"")?;
        let mut to = self.0.into_inner()?;
        to.flush()?;
        Ok(to)
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // usize to u64: lossless on every target Rust has.
        self.0
            .append_data(&mut header(bytes.len() as u64), name, bytes)
    }
}

fn header(length: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(length);
    header.set_mode(0o600);
    header.set_cksum();
    header
}
