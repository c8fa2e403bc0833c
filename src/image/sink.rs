//! [`Sink`]: the destination of an image's bytes.

use std::fs::File;

use anyhow::Result;

use super::copy::CopyRange;
use crate::fs::DataExtent;

/// Receives the bytes of an image, each range once and in any order. Bytes that it does not receive
/// are zeros. Each call has up to a MiB, not a single block.
pub(crate) trait Sink: Sync {
    /// Prepares for `extents`, which will be written later, and are ordered by their offsets.
    /// `start` is where their part begins on the disk, in bytes.
    ///
    /// # Errors
    /// If there is not enough space for them.
    fn reserve(&self, _extents: &[DataExtent], _start: u64) -> Result<()> {
        Ok(())
    }

    /// Writes `bytes` at `offset` on the disk. Only one thread calls it at a time.
    ///
    /// # Errors
    /// If they cannot be written.
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Copies as much of `range` from `input` as the kernel can, and returns the rest, which the
    /// caller then reads and writes. Several threads call it concurrently.
    fn copy(&self, _input: &File, range: CopyRange) -> CopyRange {
        range
    }
}
