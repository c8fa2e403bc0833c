//! One gzip member made of pieces that were compressed independently (RFC 1952).

use anyhow::{Context, Result};
use zlib_rs::crc32::crc32_combine;

/// The header: deflate, without a name, a time and other fields, from an unknown system (section 2.3).
pub const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The last block of the deflate stream, which is empty (RFC 1951, section 3.2.6).
const LAST_BLOCK: [u8; 2] = [3, 0];

/// What the trailer says about the pieces so far.
#[derive(Default)]
pub struct Member {
    /// The CRC-32 of their contents.
    crc: u32,
    /// The length of their contents in bytes.
    length: u64,
}

impl Member {
    /// Adds a piece as [`crate::codec::Codec::Gzip`] makes it, whose contents have `length` bytes, and
    /// returns the bytes for the file.
    ///
    /// # Errors
    /// If the piece is too short.
    pub fn add<'p>(&mut self, piece: &'p [u8], length: u64) -> Result<&'p [u8]> {
        let split = piece.split_last_chunk();
        let (deflate, crc) = split.context("a piece of gzip without a checksum")?;
        self.crc = crc32_combine(self.crc, u32::from_le_bytes(*crc), length);
        self.length = self.length.wrapping_add(length);
        Ok(deflate)
    }

    /// Returns the end of the member.
    pub fn trailer(&self) -> Vec<u8> {
        let crc = self.crc.to_le_bytes();
        // Modulo 2^32.
        let length = &self.length.to_le_bytes()[..4];
        [&LAST_BLOCK[..], &crc, length].concat()
    }
}
