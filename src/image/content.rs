//! The bytes of a part, whichever kind it is of.

use anyhow::{Context, Result, ensure};

use super::{Content, Part};
use crate::fs::{DataExtent, DataSource};

impl Content {
    /// Its length in bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            // usize to u64: lossless on every target Rust has.
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(file) => file.length(),
            Content::FileSystem(plan) => plan.length(),
        }
    }

    /// The ranges that are copied from files, in order.
    pub(super) fn copied(&self) -> &[DataExtent] {
        match self {
            Content::Bytes(_) => &[],
            Content::File(file) => file.data(),
            Content::FileSystem(plan) => plan.data(),
        }
    }

    /// The file that has the bytes of `extent`, one of [`Content::copied`].
    ///
    /// # Errors
    /// If there is none, which is a mistake of whoever planned it.
    pub(super) fn source(&self, extent: &DataExtent) -> Result<DataSource<'_>> {
        let source = match self {
            Content::Bytes(_) => None,
            Content::File(file) => Some(DataSource::Finished(file)),
            Content::FileSystem(plan) => plan.source(extent.file),
        };
        source.with_context(|| format!("data of no file: {extent:?}"))
    }

    /// Hands the ranges that are made in memory to `emit`, in order, as (offset in bytes, bytes).
    ///
    /// # Errors
    /// Those of `emit`.
    pub(super) fn made(&self, emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        match self {
            Content::Bytes(bytes) => emit(0, bytes),
            Content::File(_) => Ok(()),
            Content::FileSystem(plan) => plan.metadata(emit),
        }
    }
}

impl Part {
    /// As [`Content::made`], with offsets on the disk.
    ///
    /// # Errors
    /// Those of `emit`, and if something is beyond the content's end.
    pub(super) fn made(&self, emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let length = self.content.length();
        self.content.made(&mut |offset, bytes| {
            // usize to u64: lossless on every target Rust has.
            let end = offset.checked_add(bytes.len() as u64);
            ensure!(
                end.is_some_and(|end| end <= length),
                "metadata of {} bytes at {offset} is beyond the file system's {length}",
                bytes.len()
            );
            emit(self.start + offset, bytes)
        })
    }
}
