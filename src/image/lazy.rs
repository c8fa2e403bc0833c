//! [`LazyImage`]: a disk that can be read without ever having been written.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::write::write_made;
use super::{Image, Part};
use crate::escape;
use crate::fs::DataExtent;
use crate::fs::source::{Opened, Opener, read};

/// An image whose files are read from their sources when they are asked for. What is made in memory
/// is in a sparse file.
pub struct LazyImage {
    image: Image,
    made: File,
    path: PathBuf,
}

/// What is at a place of the disk.
struct Place<'a> {
    /// What is copied from a file, or else what is in the sparse file.
    copied: Option<Copied<'a>>,
    /// First byte on the disk that is something else.
    end: u64,
}

/// A range that is copied from a file.
struct Copied<'a> {
    /// The part's place in the list of parts.
    number: usize,
    part: &'a Part,
    extent: &'a DataExtent,
}

impl LazyImage {
    /// Makes the file `path` with all of `image` that is not in other files.
    ///
    /// # Errors
    /// As [`super::write()`].
    pub fn new(image: Image, path: &Path) -> Result<LazyImage> {
        write_made(&image, path)?;
        let made = File::open(path).with_context(|| format!("opening {}", escape::path(path)))?;
        Ok(LazyImage {
            image,
            made,
            path: path.to_owned(),
        })
    }

    /// Length of the disk in bytes.
    pub fn length(&self) -> u64 {
        self.image.length
    }

    /// A reader of the disk.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            disk: self,
            open: None,
            opener: Opener::default(),
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
                copied: Some(Copied {
                    number,
                    part,
                    extent,
                }),
                end: part.start + extent.offset + extent.length,
            },
            Some(extent) => made(part.start + extent.offset),
            None => made(part.start + part.length),
        }
    }
}

/// Reads a [`LazyImage`]. It keeps the file open that it read last: a large one is asked for in
/// many pieces.
pub struct Reader<'a> {
    disk: &'a LazyImage,
    /// The file, with the number of its part and its own there.
    open: Option<((usize, u32), Opened<'a>)>,
    opener: Opener,
}

impl Reader<'_> {
    /// Fills `buffer` with the bytes of the disk from `offset` on, as far as the disk reaches, and
    /// returns how many that are.
    ///
    /// # Errors
    /// If the source of a file can't be read, or is not as long as when it was listed.
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
            match &place.copied {
                Some(copied) => self.read_copied(copied, piece, at)?,
                None => read(&disk.made, || disk.path.clone(), piece, at)?,
            }
            filled += length;
        }
    }
}

impl<'a> Reader<'a> {
    fn read_copied(&mut self, copied: &Copied<'a>, buffer: &mut [u8], at: u64) -> Result<()> {
        let (part, extent) = (copied.part, copied.extent);
        let from = extent.file_offset + (at - part.start - extent.offset);
        let key = (copied.number, extent.file);
        let opened = match self.open.take() {
            Some((last, opened)) if last == key => opened,
            _ => self.opener.open(part.content.source(extent)?)?,
        };
        opened.read(buffer, from)?;
        self.open = Some((key, opened));
        Ok(())
    }
}
