//! Checks the invariants of an image.

use anyhow::{Result, bail, ensure};

use super::{Content, Image};

impl Image {
    /// Checks the invariants of the parts: they are in order, within the disk and disjoint. Their
    /// extents are in order, within the part, disjoint, and within their files.
    ///
    /// # Errors
    /// The first violated invariant, which is a bug in the code that made the image.
    pub(crate) fn check(&self) -> Result<()> {
        let mut free_from = 0;
        for part in &self.parts {
            let (name, start, length) = (&part.name, part.start, part.length);
            let Some(end) = start.checked_add(length).filter(|&end| end <= self.length) else {
                bail!(
                    "the part \"{name}\" ({length} bytes at {start}) extends beyond the disk \
                     ({} bytes)",
                    self.length
                );
            };
            ensure!(
                start >= free_from,
                "the part \"{name}\" begins at {start}, before the end of the previous part at \
                 {free_from}"
            );
            free_from = end;
            let content = part.content.length();
            ensure!(
                content <= length,
                "the part \"{name}\" has {length} bytes, but its content has {content}"
            );
            check_extents(name, &part.content)?;
        }
        Ok(())
    }
}

fn check_extents(name: &str, content: &Content) -> Result<()> {
    let (mut free_from, length) = (0, content.length());
    for extent in content.copied() {
        let end = extent.offset.checked_add(extent.length);
        let source_end = extent.file_offset.checked_add(extent.length);
        let Ok(source) = content.source(extent) else {
            bail!("\"{name}\" has data that belongs to no file of its tree: {extent:?}");
        };
        ensure!(
            source_end.is_some_and(|end| end <= source.length()),
            "\"{name}\" has data beyond the {} bytes of its file: {extent:?}",
            source.length()
        );
        match end {
            Some(end) if end <= length && extent.offset >= free_from => free_from = end,
            _ => bail!("\"{name}\" has data that overlaps or is out of bounds: {extent:?}"),
        }
    }
    Ok(())
}
