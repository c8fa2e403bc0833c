//! Decompresses a block of a disk.

use anyhow::{Context, Result, bail, ensure};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::Compressed;
use super::file::ImageFile;

/// How a block is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Raw deflate (RFC 1951).
    Deflate,
    /// Deflate with the header and checksum of zlib (RFC 1950). The end of the block may be missing: it
    /// is zeros.
    Zlib,
    /// A Zstandard frame (RFC 8878).
    Zstd,
}

/// Windows of Zstandard have at most 2^this bytes. No block is longer than 2 MiB.
const WINDOW_LOG: u32 = 23;

/// Returns a block of `file`, decompressed.
///
/// # Errors
/// If the file cannot be read, or the data is not that of a block.
pub fn block(file: &ImageFile, block: Compressed) -> Result<Vec<u8>> {
    let rest = usize::try_from(file.length.saturating_sub(block.offset)).unwrap_or(usize::MAX);
    ensure!(
        rest > 0,
        "its data begins at byte {} of the file, which ends at {}: it is truncated or damaged",
        block.offset,
        file.length
    );
    let mut data = vec![0; block.length.min(rest)];
    file.read(block.offset, &mut data, "compressed data")?;
    let mut out = vec![0; block.block];
    let length = match block.method {
        Method::Deflate => inflate(&data, &mut out, false)?,
        Method::Zlib => {
            inflate(&data, &mut out, true)?;
            block.block
        }
        Method::Zstd => zstd(&data, &mut out)?,
    };
    ensure!(
        length == block.block,
        "it has {length} bytes, but {} are expected",
        block.block
    );
    Ok(out)
}

/// Decompresses `data` to `out`, and returns the number of bytes.
fn inflate(data: &[u8], out: &mut [u8], has_header: bool) -> Result<usize> {
    let mut inflate = Decompress::new(has_header);
    let status = inflate
        .decompress(data, out, FlushDecompress::Finish)
        .context("the compressed data is damaged")?;
    let length = usize::try_from(inflate.total_out())?;
    match status {
        Status::StreamEnd => Ok(length),
        // The block is complete, and what follows does not matter.
        Status::Ok | Status::BufError if length == out.len() => Ok(length),
        Status::Ok | Status::BufError => {
            bail!("the compressed data ends after {length} bytes: it is damaged")
        }
    }
}

/// As [`inflate`].
fn zstd(data: &[u8], out: &mut [u8]) -> Result<usize> {
    let mut decoder = Decoder::new().context("setting up the decompression")?;
    decoder
        .set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
        .context("setting up the decompression")?;
    let (mut read, mut written) = (0, 0);
    loop {
        let status = decoder
            .run_on_buffers(&data[read..], &mut out[written..])
            .context("the compressed data is damaged")?;
        read = read.saturating_add(status.bytes_read);
        written = written.saturating_add(status.bytes_written);
        let is_stuck = status.bytes_read == 0 && status.bytes_written == 0;
        if status.remaining == 0 || written == out.len() || is_stuck {
            return Ok(written);
        }
    }
}
