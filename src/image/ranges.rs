//! An image as ranges, in the order of the disk.

use anyhow::{Context, Result, ensure};

use super::{Image, Part};
use crate::fs::{DataExtent, DataSource};

/// A range of the disk whose bytes come from one place.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the raw disk needs only the lengths; a format that is written in order needs everything"
    )
)]
pub(crate) struct Range<'a> {
    /// First byte on the disk.
    pub start: u64,
    /// Number of bytes, never 0.
    pub length: u64,
    /// Where they come from.
    pub bytes: Bytes<'a>,
}

/// Where the bytes of a [`Range`] come from.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the raw disk needs only the lengths; a format that is written in order needs everything"
    )
)]
pub(crate) enum Bytes<'a> {
    /// They are zeros.
    Zeros,
    /// They are generated in memory, and are valid during the call.
    Made(&'a [u8]),
    /// They are in a file.
    Copied {
        /// The file.
        source: DataSource<'a>,
        /// Their offset in it, in bytes.
        offset: u64,
    },
}

/// Which ranges of an image are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Only those that are generated in memory; the others remain zeros.
    Made,
}

impl Image {
    /// Passes every range of the disk to `take`, in order and without gaps. It generates metadata,
    /// but reads no files.
    ///
    /// # Errors
    /// Those of `take`, and if ranges overlap.
    pub(crate) fn ranges(&self, take: &mut dyn FnMut(Range<'_>) -> Result<()>) -> Result<()> {
        let mut disk = Disk { at: 0, take };
        for part in &self.parts {
            let mut copied = part.content.copied().iter().peekable();
            part.made(&mut |start, bytes| {
                while let Some(extent) = copied.next_if(|next| part.start + next.offset < start) {
                    disk.copied(part, extent)?;
                }
                // usize to u64: lossless on every target Rust has.
                disk.add(start, bytes.len() as u64, Bytes::Made(bytes))
            })?;
            for extent in copied {
                disk.copied(part, extent)?;
            }
        }
        disk.zeros_to(self.length)
    }
}

/// The disk from `at` on.
struct Disk<'a> {
    at: u64,
    take: &'a mut dyn FnMut(Range<'_>) -> Result<()>,
}

impl Disk<'_> {
    fn copied(&mut self, part: &Part, extent: &DataExtent) -> Result<()> {
        let bytes = Bytes::Copied {
            source: part.content.source(extent)?,
            offset: extent.file_offset,
        };
        self.add(part.start + extent.offset, extent.length, bytes)
    }

    fn add(&mut self, start: u64, length: u64, bytes: Bytes<'_>) -> Result<()> {
        self.zeros_to(start)?;
        if length == 0 {
            return Ok(());
        }
        self.at = start
            .checked_add(length)
            .context("the disk is larger than 2^64 bytes")?;
        (self.take)(Range {
            start,
            length,
            bytes,
        })
    }

    fn zeros_to(&mut self, end: u64) -> Result<()> {
        ensure!(
            end >= self.at,
            "bytes at {end} overlap the previous ones, which end at {}",
            self.at
        );
        let (start, length) = (self.at, end - self.at);
        if length == 0 {
            return Ok(());
        }
        self.at = end;
        (self.take)(Range {
            start,
            length,
            bytes: Bytes::Zeros,
        })
    }
}
