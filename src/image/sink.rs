//! [`Sink`]: what takes an image's bytes.

use std::fs::File;

use anyhow::Result;

use super::copy::CopyRange;
use crate::fs::DataExtent;

/// Takes the bytes of an image, each range of them once and in any order. What it does not get is
/// zeros. Calls are made for up to a MiB at a time, not for a block.
pub(crate) trait Sink: Sync {
    /// Is told of `extents`, before they come, in the order of their places. `start` is where their
    /// part begins on the disk, in bytes.
    ///
    /// # Errors
    /// If there is no room for them.
    fn reserve(&self, _extents: &[DataExtent], _start: u64) -> Result<()> {
        Ok(())
    }

    /// Takes `bytes`, which begin at `offset` on the disk. No two threads call it at once.
    ///
    /// # Errors
    /// If they can't be written.
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Copies as much of `range` from `input` as the kernel can without our reading it, and returns
    /// what is left, which is then read and written. Many threads call it at once.
    fn copy(&self, _input: &File, range: CopyRange) -> CopyRange {
        range
    }
}
