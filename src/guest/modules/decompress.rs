//! Reads and decompresses kernel modules.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use zstd::stream::read::Decoder;

use crate::escape;

/// The limit on the size of a decompressed module, in bytes. The largest modules of a kernel, drivers for
/// graphics cards, have about 30 MiB; those for file systems have 5 MiB, or ten times that with
/// debugging information.
pub const LARGEST: u64 = 128 << 20;

/// The largest dictionary of a module compressed by xz, in KiB. The kernel's own build uses 1 or
/// 2 MiB (Linux, scripts/Makefile.modinst).
const DICTIONARY: u32 = 128 << 10;

/// Returns the decompressed bytes of the module at `path`, as the kernel loads them.
///
/// # Errors
/// If the file cannot be read or decompressed, or has more than [`LARGEST`] bytes.
pub fn load(path: &Path) -> Result<Vec<u8>> {
    let end = path.extension().and_then(|end| end.to_str());
    bytes(path, end.unwrap_or_default(), LARGEST)
}

/// Returns the bytes of the module at `path` without decompressing them.
///
/// # Errors
/// If the file cannot be read, or has more than [`LARGEST`] bytes.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    bytes(path, "", LARGEST)
}

/// Returns the bytes of the module at `path`, at most `limit`, decompressed according to the extension
/// `end`.
pub(super) fn bytes(path: &Path, end: &str, limit: u64) -> Result<Vec<u8>> {
    let name = || format!("reading the kernel module {}", escape::path(path));
    // Checked before opening: opening a pipe would wait for a writer.
    ensure!(
        fs::metadata(path).with_context(name)?.is_file(),
        "the kernel module {} is not a regular file",
        escape::path(path)
    );
    let file = File::open(path).with_context(name)?;
    let module = decompress(BufReader::new(file), end, limit).with_context(name)?;
    // usize to u64: lossless on every target Rust has.
    ensure!(
        module.len() as u64 <= limit,
        "the kernel module {} is larger than {} MiB: strip the debugging information of the kernel's \
         modules (INSTALL_MOD_STRIP=1)",
        escape::path(path),
        limit >> 20
    );
    Ok(module)
}

/// Returns the decompressed bytes of `file`, but at most one more than `limit`.
pub(super) fn decompress(file: impl Read, end: &str, limit: u64) -> Result<Vec<u8>> {
    let limit = limit.saturating_add(1);
    let mut module = Vec::new();
    match end {
        "xz" => XzReader::new_mem_limit(file, true, DICTIONARY)
            .take(limit)
            .read_to_end(&mut module)?,
        "zst" => Decoder::new(file)?.take(limit).read_to_end(&mut module)?,
        "gz" => MultiGzDecoder::new(file)
            .take(limit)
            .read_to_end(&mut module)?,
        _ => file.take(limit).read_to_end(&mut module)?,
    };
    Ok(module)
}
