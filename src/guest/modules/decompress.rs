//! The bytes of a module.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use crate::escape;

/// The most bytes that a module may have, decompressed. The largest that a kernel brings, for graphics
/// cards, have some 30 MiB; those for file systems, 5 MiB, and ten times that with all their
/// debugging information.
pub const LARGEST: u64 = 128 << 20;

/// The largest dictionary of a module compressed by xz, in KiB. The kernel's own build uses 1 or
/// 2 MiB (Linux, scripts/Makefile.modinst).
const DICTIONARY: u32 = 128 << 10;

/// The bytes of the module at `path` as the kernel loads it: decompressed.
///
/// # Errors
/// If it can't be read or decompressed, or has more than [`LARGEST`] bytes.
pub fn load(path: &Path) -> Result<Vec<u8>> {
    let end = path.extension().and_then(|end| end.to_str());
    bytes(path, end.unwrap_or_default(), LARGEST)
}

/// The bytes of the module at `path` as they are.
///
/// # Errors
/// If it can't be read, or has more than [`LARGEST`] bytes.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    bytes(path, "", LARGEST)
}

/// At most `limit` bytes of the module at `path`, whose name ends with `end`.
pub(super) fn bytes(path: &Path, end: &str, limit: u64) -> Result<Vec<u8>> {
    let name = || format!("reading the kernel module {}", escape::path(path));
    // Before it is opened: to open a pipe would wait for a writer.
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
        "the kernel module {} has more than {} MiB: strip the kernel's modules of their debugging \
         information (INSTALL_MOD_STRIP=1)",
        escape::path(path),
        limit >> 20
    );
    Ok(module)
}

/// At most one byte more than `limit`.
pub(super) fn decompress(file: impl Read, end: &str, limit: u64) -> Result<Vec<u8>> {
    let most = limit.saturating_add(1);
    let mut module = Vec::new();
    match end {
        "xz" => XzReader::new_mem_limit(file, true, DICTIONARY)
            .take(most)
            .read_to_end(&mut module)?,
        "zst" => StreamingDecoder::new(file)?
            .take(most)
            .read_to_end(&mut module)?,
        "gz" => MultiGzDecoder::new(file)
            .take(most)
            .read_to_end(&mut module)?,
        _ => file.take(most).read_to_end(&mut module)?,
    };
    Ok(module)
}
