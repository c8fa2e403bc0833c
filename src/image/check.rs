//! Whether an image is what its types promise.

use anyhow::{Result, bail, ensure};

use super::{Content, Image};

impl Image {
    /// Checks that the parts keep what the types promise: order, bounds, and extents that are apart,
    /// within their part, and of files that are as long.
    ///
    /// # Errors
    /// The first promise that is broken; it is a mistake of whoever made the image.
    pub(crate) fn check(&self) -> Result<()> {
        let mut free_from = 0;
        for part in &self.parts {
            let (name, start, length) = (&part.name, part.start, part.length);
            let Some(end) = start.checked_add(length).filter(|&end| end <= self.length) else {
                bail!(
                    "the part \"{name}\" ({length} bytes at {start}) reaches beyond the disk \
                     ({} bytes)",
                    self.length
                );
            };
            ensure!(
                start >= free_from,
                "the part \"{name}\" begins at {start}, before the part in front of it ends at \
                 {free_from}"
            );
            free_from = end;
            let content = part.content.length();
            ensure!(
                content <= length,
                "the part \"{name}\" has {length} bytes and its content {content}"
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
            bail!("\"{name}\" has data of something that is no file of its tree: {extent:?}");
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
