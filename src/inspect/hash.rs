//! Hashes of the parts of a disk.

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::container::Disk;

/// Adds the bytes from `start` to `end` to `sum`.
///
/// # Errors
/// If they cannot be read.
pub fn add(disk: &Disk, start: u64, end: u64, sum: &mut Sha256) -> Result<()> {
    let most = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    let mut buffer = vec![0; most.min(1 << 20)];
    let mut position = start;
    while position < end {
        let most = usize::try_from(end.saturating_sub(position)).unwrap_or(usize::MAX);
        let want = most.min(buffer.len());
        disk.read(position, &mut buffer[..want], "the data to hash")?;
        sum.update(&buffer[..want]);
        // usize to u64: lossless on every target Rust has.
        position = position.saturating_add(want as u64);
    }
    Ok(())
}

/// The hash in hexadecimal.
pub fn hex(sum: Sha256) -> String {
    data_encoding::HEXLOWER.encode(&sum.finalize())
}
