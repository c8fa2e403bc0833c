//! An image as ranges, in the order of the disk.

use anyhow::{Context, Result, ensure};

use super::{Image, Part};
use crate::fs::DataExtent;

/// A range of the disk whose bytes come from one place.
#[derive(Clone, Copy)]
pub(super) struct Range<'m, 'a> {
    /// First byte on the disk.
    pub start: u64,
    /// Number of bytes, never 0.
    pub length: u64,
    /// Where they come from.
    pub bytes: Bytes<'m, 'a>,
}

/// Where the bytes of a [`Range`] come from.
#[derive(Clone, Copy)]
pub(super) enum Bytes<'m, 'a> {
    /// They are zeros.
    Zeros,
    /// They are generated in memory, and are valid during the call.
    Made(&'m [u8]),
    /// They are in a file.
    Copied {
        /// The part that they belong to.
        part: &'a Part,
        /// The extent of the part.
        extent: &'a DataExtent,
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
    pub(super) fn ranges<'a>(
        &'a self,
        take: &mut dyn FnMut(Range<'_, 'a>) -> Result<()>,
    ) -> Result<()> {
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

impl Image {
    /// The number of bytes in pieces of `piece` bytes of the disk that have data. It generates metadata,
    /// but reads no files.
    ///
    /// # Errors
    /// If ranges overlap.
    pub(crate) fn allocated(&self, piece: u64) -> Result<u64> {
        let (mut pieces, mut next) = (0, 0);
        self.ranges(&mut |range| {
            if !matches!(range.bytes, Bytes::Zeros) {
                let first = (range.start / piece).max(next);
                next = range.start.saturating_add(range.length).div_ceil(piece);
                pieces += next.saturating_sub(first);
            }
            Ok(())
        })?;
        Ok(pieces.saturating_mul(piece))
    }
}

/// The disk from `at` on.
struct Disk<'t, 'a> {
    at: u64,
    take: &'t mut dyn FnMut(Range<'_, 'a>) -> Result<()>,
}

impl<'a> Disk<'_, 'a> {
    fn copied(&mut self, part: &'a Part, extent: &'a DataExtent) -> Result<()> {
        let bytes = Bytes::Copied { part, extent };
        self.add(part.start + extent.offset, extent.length, bytes)
    }

    fn add(&mut self, start: u64, length: u64, bytes: Bytes<'_, 'a>) -> Result<()> {
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
