//! [`LazyImage`]: a disk that can be read without being written first.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::allocation::Allocation;
use super::extents::ExtentReader;
use super::write::write_made;
use super::{Image, Part};
use crate::fs::source::read;
use crate::fs::{BLOCK, DataExtent};
use crate::{escape, holes};

/// An image whose files are read from their sources on demand. Ranges that are generated in memory
/// are stored in a sparse file.
pub struct LazyImage {
    image: Image,
    made: File,
    path: PathBuf,
}

/// The source of the bytes at a position of the disk.
struct Place<'a> {
    /// The range that is copied from a file; `None` if the bytes are in the sparse file.
    copied: Option<Copied<'a>>,
    /// The first byte on the disk after it.
    end: u64,
}

/// A range that is copied from a file.
struct Copied<'a> {
    part: &'a Part,
    extent: &'a DataExtent,
}

impl LazyImage {
    /// Creates the file `path` with everything in `image` that is not copied from other files.
    ///
    /// # Errors
    /// As for [`super::write()`].
    pub fn new(image: Image, path: &Path) -> Result<LazyImage> {
        write_made(&image, path)?;
        let made = File::open(path).with_context(|| format!("opening {}", escape::path(path)))?;
        Ok(LazyImage {
            image,
            made,
            path: path.to_owned(),
        })
    }

    /// The image that is read.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Length of the disk in bytes.
    pub fn length(&self) -> u64 {
        self.image.length
    }

    /// Finds out which ranges of the disk have data. It reads no files.
    ///
    /// # Errors
    /// If the holes in the sparse file cannot be found.
    pub fn allocation(&self) -> Result<Allocation> {
        let made = holes::data_ranges(&self.made, self.length(), BLOCK)
            .with_context(|| format!("finding the holes in {}", escape::path(&self.path)))?;
        Ok(Allocation::new(&self.image, made))
    }

    /// Returns a reader of the disk.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            disk: self,
            files: ExtentReader::default(),
        }
    }

    fn place(&self, at: u64) -> Place<'_> {
        let made = |end| Place { copied: None, end };
        let parts = &self.image.parts;
        let number = parts.partition_point(|part| part.start + part.length <= at);
        let Some(part) = parts.get(number) else {
            return made(self.image.length);
        };
        let Some(offset) = at.checked_sub(part.start) else {
            return made(part.start);
        };
        let extents = part.content.copied();
        let next = extents.partition_point(|extent| extent.offset + extent.length <= offset);
        match extents.get(next) {
            Some(extent) if extent.offset <= offset => Place {
                copied: Some(Copied { part, extent }),
                end: part.start + extent.offset + extent.length,
            },
            Some(extent) => made(part.start + extent.offset),
            None => made(part.start + part.length),
        }
    }
}

/// Reads a [`LazyImage`].
pub struct Reader<'a> {
    disk: &'a LazyImage,
    files: ExtentReader<'a>,
}

impl Reader<'_> {
    /// Fills `buffer` with the bytes of the disk from `offset` on, up to the end of the disk, and
    /// returns their number.
    ///
    /// # Errors
    /// If the source of a file cannot be read, or its length has changed since it was listed.
    pub fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let disk = self.disk;
        let mut filled = 0;
        loop {
            // usize to u64: lossless on every target Rust has.
            let at = offset.saturating_add(filled as u64);
            let rest = &mut buffer[filled..];
            if rest.is_empty() || at >= disk.length() {
                return Ok(filled);
            }
            let place = disk.place(at);
            let length = usize::try_from(place.end - at).map_or(rest.len(), |n| n.min(rest.len()));
            let piece = &mut rest[..length];
            match place.copied {
                Some(Copied { part, extent }) => {
                    let skip = at - part.start - extent.offset;
                    self.files.read(part, extent, skip, piece)?;
                }
                None => read(&disk.made, || disk.path.clone(), piece, at)?,
            }
            filled += length;
        }
    }
}
