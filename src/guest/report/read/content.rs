//! The bytes of files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::escape;
use crate::guest::room;
use crate::tree::{Content, Source, SourceFile};

use super::super::Sparse;

/// Files up to this many bytes are kept in memory, as long as all of them have no more than
/// [`SMALL_ALL`].
const SMALL: u64 = 1 << 16;
const SMALL_ALL: u64 = 64 << 20;

/// Where the bytes of files go.
pub struct Contents {
    directory: Arc<Path>,
    /// Bytes that small files in memory may still have.
    small: u64,
    /// Bytes that files may still have, and may have in all.
    data: u64,
    most: u64,
}

impl Contents {
    /// To files in `directory`, or to memory; `most` bytes in all.
    pub fn new(directory: &Path, most: u64) -> Contents {
        Contents {
            directory: directory.into(),
            small: SMALL_ALL,
            data: most,
            most,
        }
    }

    /// Takes the bytes of the file that is number `index`: the next `length` of `from`.
    ///
    /// # Errors
    /// If there are not as many, or too many, or no room for them.
    pub fn take(
        &mut self,
        index: usize,
        length: u64,
        from: &mut impl Read,
        sparse: Option<&Sparse>,
    ) -> Result<Content> {
        let size = sparse.map_or(length, |sparse| sparse.size);
        if let Some(sparse) = sparse {
            // Each is within the size: the sum has no more.
            let data: u64 = sparse.ranges().map(|range| range.length).sum();
            ensure!(
                data == length,
                "its data has {data} bytes, and {length} came"
            );
        }
        self.data = self.data.checked_sub(length).with_context(|| {
            format!(
                "with its {length} bytes, the guest's files have more than the {} of its disk",
                self.most
            )
        })?;
        let data = sparse.map(|sparse| Box::new(sparse.ranges().collect()));
        if size <= SMALL && self.small >= size {
            self.small -= size;
            return small(size, from, sparse).map(|content| Content { data, ..content });
        }
        let name = format!("guest-file-{index}");
        let path = self.directory.join(&name);
        room::check(&self.directory, length, "a file of the guest's report")?;
        copy(&path, length, from, sparse)
            .with_context(|| format!("writing {}", escape::path(&path)))?;
        Ok(Content {
            size,
            source: Source::File(SourceFile::new(self.directory.clone(), name.as_ref())),
            data,
        })
    }
}

fn small(size: u64, from: &mut impl Read, sparse: Option<&Sparse>) -> Result<Content> {
    let mut bytes = vec![0; usize::try_from(size)?];
    let whole = [(0, size)];
    for &(offset, length) in sparse.map_or(&whole[..], |sparse| &sparse.data) {
        let start = usize::try_from(offset)?;
        let end = start + usize::try_from(length)?;
        let part = bytes.get_mut(start..end).context("data after the end")?;
        from.read_exact(part).context("the report is cut")?;
    }
    Ok(Content::bytes(bytes))
}

fn copy(path: &Path, length: u64, from: &mut impl Read, sparse: Option<&Sparse>) -> Result<()> {
    let mut file = File::create(path)?;
    let whole = [(0, length)];
    for &(offset, length) in sparse.map_or(&whole[..], |sparse| &sparse.data) {
        file.seek(SeekFrom::Start(offset))?;
        let copied = io::copy(&mut from.by_ref().take(length), &mut file)?;
        ensure!(copied == length, "the report is cut");
    }
    if let Some(sparse) = sparse {
        file.set_len(sparse.size)?;
    }
    Ok(())
}
