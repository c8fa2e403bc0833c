//! [`LazyImage`]: a disk that can be read without ever having been written.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::copy::read;
use super::source::{Opened, Opener};
use super::write::write_metadata;
use super::{Content, Image};
use crate::escape;
use crate::fs::DataExtent;
use crate::tree::{InodeId, Tree};

/// An image whose files are read from their sources when they are asked for. All else is in a
/// sparse file.
pub struct LazyImage {
    image: Image,
    metadata: File,
    path: PathBuf,
}

/// What is at a place of the disk.
struct Place<'a> {
    /// Data of a file, or else what is in the sparse file.
    data: Option<Data<'a>>,
    /// First byte on the disk that is something else.
    end: u64,
}

/// A data extent.
struct Data<'a> {
    tree: &'a Tree,
    extent: &'a DataExtent,
    /// First byte of the file system on the disk.
    start: u64,
}

impl LazyImage {
    /// Makes the file `path` with all of `image` but the data of the files in planned file
    /// systems.
    ///
    /// # Errors
    /// As [`super::write()`].
    pub fn new(image: Image, path: &Path) -> Result<LazyImage> {
        write_metadata(&image, path)?;
        let metadata =
            File::open(path).with_context(|| format!("opening {}", escape::path(path)))?;
        Ok(LazyImage {
            image,
            metadata,
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
        let metadata = |end| Place { data: None, end };
        let parts = &self.image.parts;
        let next = parts.partition_point(|part| part.start + part.length <= at);
        let Some(part) = parts.get(next) else {
            return metadata(self.image.length);
        };
        let end = part.start + part.length;
        let (Some(offset), Content::FileSystem { plan, tree }) =
            (at.checked_sub(part.start), &part.content)
        else {
            return metadata(if at < part.start { part.start } else { end });
        };
        let extents = plan.data();
        let next = extents.partition_point(|extent| extent.offset + extent.length <= offset);
        match extents.get(next) {
            Some(extent) if extent.offset <= offset => Place {
                data: Some(Data {
                    tree,
                    extent,
                    start: part.start,
                }),
                end: part.start + extent.offset + extent.length,
            },
            Some(extent) => metadata(part.start + extent.offset),
            None => metadata(end),
        }
    }
}

/// Reads a [`LazyImage`]. It keeps the file open that it read last: a large one is asked for in
/// many pieces.
pub struct Reader<'a> {
    disk: &'a LazyImage,
    /// The file, with the place of its file system and its number there.
    open: Option<(u64, InodeId, Opened<'a>)>,
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
            match &place.data {
                Some(data) => self.read_data(data, piece, at)?,
                None => {
                    read(&disk.metadata, || disk.path.clone(), piece, at)?;
                }
            }
            filled += length;
        }
    }
}

impl<'a> Reader<'a> {
    fn read_data(&mut self, data: &Data<'a>, buffer: &mut [u8], at: u64) -> Result<()> {
        let extent = data.extent;
        let from = extent.file_offset + (at - data.start - extent.offset);
        let opened = match self.open.take() {
            Some((start, inode, opened)) if (start, inode) == (data.start, extent.inode) => opened,
            _ => self.opener.open(data.tree, extent)?,
        };
        opened.read(buffer, from)?;
        self.open = Some((data.start, extent.inode, opened));
        Ok(())
    }
}
