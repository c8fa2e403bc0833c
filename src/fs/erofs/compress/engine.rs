//! The compression algorithms.

use anyhow::{Context, Result};
use lz4::block::{self, CompressionMode};

use super::super::ondisk::algorithm;
use crate::codec::{Codec, Compressor};

/// How the contents of files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// LZ4, which Linux can read since 5.17 in the form used here.
    Lz4 {
        /// 0 (fast) to 12 (small). Up to 2, files become about as short.
        level: u8,
    },
    /// Zstandard, which Linux can read since 6.10.
    Zstd {
        /// 1 (fast) to 19 (small).
        level: u8,
    },
    /// Deflate, which Linux can read since 6.6.
    Deflate {
        /// 1 (fast) to 9 (small).
        level: u8,
    },
}

impl Compression {
    /// Its number on disk.
    pub(crate) fn algorithm(self) -> u8 {
        match self {
            Compression::Lz4 { .. } => algorithm::LZ4,
            Compression::Zstd { .. } => algorithm::ZSTD,
            Compression::Deflate { .. } => algorithm::DEFLATE,
        }
    }
}

/// Compresses pieces, and keeps its memory between them.
pub enum Engine {
    /// LZ4 in this mode; the library has no memory to keep.
    Lz4(CompressionMode),
    /// All others.
    Other(Compressor),
}

impl Engine {
    /// Creates a compressor.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(compression: Compression) -> Result<Engine> {
        let codec = match compression {
            Compression::Lz4 { level: 0 } => return Ok(Engine::Lz4(CompressionMode::DEFAULT)),
            Compression::Lz4 { level } => {
                let mode = CompressionMode::HIGHCOMPRESSION(level.into());
                return Ok(Engine::Lz4(mode));
            }
            Compression::Zstd { level } => Codec::Zstd {
                level,
                checksum: false,
            },
            Compression::Deflate { level } => Codec::Deflate {
                level: level.into(),
                window_bits: 15,
            },
        };
        Ok(Engine::Other(Compressor::new(codec)?))
    }

    /// Compresses `bytes`, and replaces the contents of `out` with the result, which depends on
    /// nothing else.
    ///
    /// # Errors
    /// If the library fails: there is not enough memory.
    pub fn compress(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Engine::Lz4(mode) => {
                let failed = "compressing with LZ4";
                let most = block::compress_bound(bytes.len()).context(failed)?;
                out.resize(most, 0);
                let length =
                    block::compress_to_buffer(bytes, Some(*mode), false, out).context(failed)?;
                out.truncate(length);
                Ok(())
            }
            Engine::Other(compressor) => {
                out.clear();
                compressor.compress(bytes, out)
            }
        }
    }
}
