//! The bytes of a part, for each kind of content.

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

    /// Returns the file that contains the bytes of `extent`, which is one of [`Content::copied`].
    ///
    /// # Errors
    /// If there is none, which is a bug in the plan.
    pub(super) fn source(&self, extent: &DataExtent) -> Result<DataSource<'_>> {
        let source = match self {
            Content::Bytes(_) => None,
            Content::File(file) => Some(DataSource::Finished(file)),
            Content::FileSystem(plan) => plan.source(extent.file),
        };
        source.with_context(|| format!("data that belongs to no file: {extent:?}"))
    }

    /// Passes the ranges that are generated in memory to `emit`, in order, as (offset in bytes,
    /// bytes).
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
    /// Like [`Content::made`], with offsets on the disk.
    ///
    /// # Errors
    /// Those of `emit`, and if a range extends beyond the content's end.
    pub(super) fn made(&self, emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let length = self.content.length();
        self.content.made(&mut |offset, bytes| {
            // usize to u64: lossless on every target Rust has.
            let end = offset.checked_add(bytes.len() as u64);
            ensure!(
                end.is_some_and(|end| end <= length),
                "metadata of {} bytes at {offset} extends beyond the file system of {length} bytes",
                bytes.len()
            );
            emit(self.start + offset, bytes)
        })
    }
}
