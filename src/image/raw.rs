//! [`RawFile`]: the disk, byte for byte, in a sparse file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

use super::Image;
use super::copy::{self, CopyRange};
use super::failed::write_failed;
use super::ranges::{Bytes, Selection};
use super::reserve::reserve;
use super::sink::Sink;
use crate::fs::{BLOCK, DataExtent};
use crate::{escape, untrusted};

/// The file that an image is written to.
pub struct RawFile<'a> {
    file: File,
    path: &'a Path,
    /// What is written to it; used in messages.
    image: &'a Image,
    selection: Selection,
    kernel_copies: bool,
    /// Bytes that share their place on the disk with a source.
    shared: AtomicU64,
}

impl<'a> RawFile<'a> {
    /// Creates or truncates the file `path` for the ranges `selection` of `image`, and gives it the
    /// length of the whole image.
    ///
    /// # Errors
    /// If this fails.
    pub fn create(path: &'a Path, image: &'a Image, selection: Selection) -> Result<RawFile<'a>> {
        let file =
            untrusted::create(path).with_context(|| format!("creating {}", escape::path(path)))?;
        let raw = RawFile {
            kernel_copies: copy::prefers_kernel(&file),
            file,
            path,
            image,
            selection,
            shared: AtomicU64::new(0),
        };
        raw.file
            .set_len(image.length)
            .map_err(|error| raw.failed(error))?;
        Ok(raw)
    }

    /// The number of bytes that share their place on the disk with their sources so far.
    pub fn shared(&self) -> u64 {
        self.shared.load(Ordering::Relaxed)
    }

    /// The error for a failed write.
    fn failed(&self, error: io::Error) -> anyhow::Error {
        let need = || match needed(self.image, self.selection) {
            Ok(needed) => format!("the image needs {needed} bytes"),
            Err(why) => format!("the space that the image needs is unknown ({why:#})"),
        };
        write_failed(error, &self.file, self.path, self.image.length, need)
    }
}

impl Sink for RawFile<'_> {
    fn reserve(&self, extents: &[DataExtent], start: u64) -> Result<()> {
        reserve(&self.file, extents, start).map_err(|errno| self.failed(errno.into()))
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| self.failed(error))
    }

    fn copy(&self, input: &File, range: CopyRange) -> CopyRange {
        if !self.kernel_copies {
            return range;
        }
        let rest = copy::shared(input, &self.file, range);
        self.shared
            .fetch_add(range.length.saturating_sub(rest.length), Ordering::Relaxed);
        copy::in_kernel(input, &self.file, rest)
    }
}

/// Bytes that the ranges `selection` of `image` take on a file system that supports holes.
fn needed(image: &Image, selection: Selection) -> Result<u64> {
    let mut needed: u64 = 0;
    image.ranges(&mut |range| {
        let is_written = match range.bytes {
            Bytes::Zeros => false,
            Bytes::Made(_) => true,
            Bytes::Copied { .. } => selection == Selection::All,
        };
        if is_written {
            needed = needed.saturating_add(range.length.next_multiple_of(BLOCK));
        }
        Ok(())
    })?;
    Ok(needed)
}
