//! The compression algorithms.

use anyhow::{Context, Result};

use super::super::ondisk::algorithm;
use crate::codec::{Codec, Compressor};

/// How the contents of files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// LZ4, which Linux can read since 5.3; with the options used here since 5.17.
    Lz4,
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
            Compression::Lz4 => algorithm::LZ4,
            Compression::Zstd { .. } => algorithm::ZSTD,
            Compression::Deflate { .. } => algorithm::DEFLATE,
        }
    }
}

/// Compresses pieces, and keeps its memory between them.
pub enum Engine {
    Lz4(Box<lz4_flex::block::CompressTable>),
    Other(Compressor),
}

impl Engine {
    /// Creates a compressor.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(compression: Compression) -> Result<Engine> {
        let codec = match compression {
            Compression::Lz4 => return Ok(Engine::Lz4(Box::default())),
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
        out.clear();
        match self {
            Engine::Lz4(table) => {
                out.resize(lz4_flex::block::get_maximum_output_size(bytes.len()), 0);
                let length = lz4_flex::block::compress_into_with_table(bytes, out, table)
                    .context("compressing with LZ4")?;
                out.truncate(length);
                Ok(())
            }
            Engine::Other(compressor) => compressor.compress(bytes, out),
        }
    }
}
