//! [`ExtentReader`]: reads the files of an image.

use anyhow::Result;

use super::Part;
use crate::fs::DataExtent;
use crate::fs::source::{Opened, Opener};

/// Reads the bytes of extents from their files. It keeps the last file open, since a large file is
/// read in many pieces.
#[derive(Default)]
pub(super) struct ExtentReader<'a> {
    /// The open file, with the start of its part and its number in that part.
    open: Option<((u64, u32), Opened<'a>)>,
    opener: Opener,
}

impl<'a> ExtentReader<'a> {
    /// Opens the file of `extent`, which is an extent of `part`.
    ///
    /// # Errors
    /// If it cannot be opened, or its length has changed since it was listed.
    pub fn open(&mut self, part: &'a Part, extent: &DataExtent) -> Result<&Opened<'a>> {
        let key = (part.start, extent.file);
        let opened = match self.open.take() {
            Some((last, opened)) if last == key => opened,
            _ => self.opener.open(part.content.source(extent)?)?,
        };
        Ok(&self.open.insert((key, opened)).1)
    }

    /// Fills `buffer` with the bytes of `extent` from `skip` bytes after its beginning on.
    ///
    /// # Errors
    /// As for [`ExtentReader::open`], and if the file cannot be read or has changed.
    pub fn read(
        &mut self,
        part: &'a Part,
        extent: &DataExtent,
        skip: u64,
        buffer: &mut [u8],
    ) -> Result<()> {
        let from = extent.file_offset.saturating_add(skip);
        self.open(part, extent)?.read(buffer, from)
    }
}
