//! Compression of blocks of bytes, each by itself.

use std::io::{Cursor, Write};

use anyhow::{Context, Result, bail};
use flate2::{Compress, FlushCompress, Status};
use lzma_rust2::{XzOptions, XzWriter};
use zlib_rs::crc32::crc32;

/// The smallest dictionary of LZMA2, in bytes ("The .xz File Format", section 5.3.1).
const SMALLEST_DICTIONARY: u32 = 4096;

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Raw deflate (RFC 1951).
    Deflate {
        /// 1 (fast) to 9 (small).
        level: u32,
        /// The size of the window is 2 to the power of this many bytes: 9 to 15.
        window_bits: u8,
    },
    /// Deflate with the header and checksum of zlib (RFC 1950).
    Zlib {
        /// 1 (fast) to 9 (small).
        level: u32,
    },
    /// Raw deflate without a last block, so that it can be continued, and the CRC-32 of the block,
    /// little-endian: pieces of a member of a gzip file (RFC 1952).
    Gzip {
        /// 1 (fast) to 9 (small).
        level: u32,
    },
    /// A Zstandard frame (RFC 8878) that states the length of its contents.
    Zstd {
        /// 1 (fast) to 19 (small).
        level: u8,
        /// Whether the frame ends with a checksum.
        checksum: bool,
    },
    /// A stream of an xz file ("The .xz File Format", version 1.2).
    Xz {
        /// The preset of `xz`: 0 (fast) to 9 (small).
        level: u32,
    },
}

/// Compresses blocks with a [`Codec`], and keeps its memory between blocks.
pub(crate) struct Compressor {
    kind: Kind,
}

enum Kind {
    Flate(Compress),
    Gzip(Compress),
    Zstd(Box<zstd::bulk::Compressor<'static>>),
    Xz(u32),
}

impl Compressor {
    /// Creates a compressor.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(codec: Codec) -> Result<Compressor> {
        let level = flate2::Compression::new;
        let kind = match codec {
            Codec::Deflate {
                level: n,
                window_bits,
            } => Kind::Flate(Compress::new_with_window_bits(level(n), false, window_bits)),
            Codec::Zlib { level: n } => Kind::Flate(Compress::new(level(n), true)),
            Codec::Gzip { level: n } => Kind::Gzip(Compress::new(level(n), false)),
            Codec::Zstd { level, checksum } => {
                let failed = "setting up the compression with zstd";
                let mut zstd = zstd::bulk::Compressor::new(level.into()).context(failed)?;
                zstd.include_checksum(checksum).context(failed)?;
                Kind::Zstd(Box::new(zstd))
            }
            Codec::Xz { level } => Kind::Xz(level),
        };
        Ok(Compressor { kind })
    }

    /// Appends the compressed `bytes` to `out`. They depend on nothing else.
    ///
    /// # Errors
    /// If the library fails: there is not enough memory.
    pub fn compress(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match &mut self.kind {
            Kind::Flate(flate) => deflate(flate, bytes, FlushCompress::Finish, out),
            Kind::Gzip(flate) => {
                deflate(flate, bytes, FlushCompress::Sync, out)?;
                out.extend_from_slice(&crc32(0, bytes).to_le_bytes());
                Ok(())
            }
            Kind::Zstd(zstd) => {
                let start = out.len();
                out.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
                let mut end = Cursor::new(out);
                // usize to u64: lossless on every target Rust has.
                end.set_position(start as u64);
                zstd.compress_to_buffer(bytes, &mut end)
                    .context("compressing with zstd")?;
                Ok(())
            }
            Kind::Xz(level) => {
                let failed = "compressing with xz";
                let mut options = XzOptions::with_preset(*level);
                // A longer dictionary would only take memory, more than ten times its length.
                let dictionary = &mut options.lzma_options.dict_size;
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                *dictionary = length.clamp(SMALLEST_DICTIONARY, *dictionary);
                let mut xz = XzWriter::new(out, options).context(failed)?;
                xz.write_all(bytes).context(failed)?;
                xz.finish().context(failed)?;
                Ok(())
            }
        }
    }
}

fn deflate(
    flate: &mut Compress,
    bytes: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> Result<()> {
    flate.reset();
    // The bound of zlib's `deflateBound` for any window: with room for everything, a single call is
    // enough.
    let length = bytes.len();
    out.reserve(length + (length >> 3) + (length >> 8) + (length >> 9) + 64);
    let status = flate
        .compress_vec(bytes, out, flush)
        .context("compressing with deflate")?;
    match status {
        Status::StreamEnd => Ok(()),
        // A flush is complete only if it leaves room.
        Status::Ok if flush == FlushCompress::Sync && out.len() < out.capacity() => Ok(()),
        // A bug in the bound, which would damage the image.
        Status::Ok | Status::BufError => {
            bail!("{length} bytes did not fit into the space that deflate needs at most")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn codecs() -> Vec<Codec> {
        let mut codecs = Vec::new();
        for level in [1, 2, 6, 9] {
            for window_bits in [12, 15] {
                codecs.push(Codec::Deflate { level, window_bits });
            }
            codecs.push(Codec::Zlib { level });
            codecs.push(Codec::Gzip { level });
        }
        for level in [1, 3, 9] {
            for checksum in [false, true] {
                codecs.push(Codec::Zstd { level, checksum });
            }
        }
        for level in [0, 6] {
            codecs.push(Codec::Xz { level });
        }
        codecs
    }

    fn decompress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let result = match codec {
            Codec::Deflate { .. } => flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut out),
            Codec::Zlib { .. } => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut out),
            Codec::Gzip { .. } => {
                let (piece, crc) = bytes.split_last_chunk::<4>().unwrap();
                // An empty last block.
                let piece = piece.chain(&[3, 0][..]);
                let read = flate2::read::DeflateDecoder::new(piece).read_to_end(&mut out);
                assert_eq!(u32::from_le_bytes(*crc), crc32(0, &out));
                read
            }
            Codec::Zstd { .. } => zstd::stream::read::Decoder::new(bytes)
                .unwrap()
                .read_to_end(&mut out),
            Codec::Xz { .. } => lzma_rust2::XzReader::new(bytes, true).read_to_end(&mut out),
        };
        result.unwrap();
        out
    }

    /// Bytes that do not shrink.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn every_block_is_read_back_from_a_stream_of_its_own() {
        let noise = noise(66_000);
        let text: Vec<u8> = b"extent, inode, block group, ".repeat(700);
        let zeros = vec![0; 65_536];
        let blocks = [&noise[..65_536], &text, &zeros, b"x", b"", &noise];
        for codec in codecs() {
            let mut compressor = Compressor::new(codec).unwrap();
            let mut all = Vec::new();
            for block in blocks {
                let start = all.len();
                compressor.compress(block, &mut all).unwrap();
                assert!(decompress(codec, &all[start..]) == block, "{codec:?}");
                let mut again = Vec::new();
                let mut fresh = Compressor::new(codec).unwrap();
                fresh.compress(block, &mut again).unwrap();
                assert!(again == all[start..], "{codec:?} depends on earlier blocks");
            }
        }
    }

    #[test]
    fn files_of_zstd_and_xz_may_consist_of_several_streams() {
        for codec in codecs() {
            if !matches!(codec, Codec::Zstd { .. } | Codec::Xz { .. }) {
                continue;
            }
            let mut compressor = Compressor::new(codec).unwrap();
            let mut all = Vec::new();
            compressor.compress(b"first ", &mut all).unwrap();
            compressor.compress(b"second", &mut all).unwrap();
            assert_eq!(decompress(codec, &all), b"first second", "{codec:?}");
        }
    }
}
