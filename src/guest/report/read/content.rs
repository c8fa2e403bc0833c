//! The contents of files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::escape;
use crate::guest::room;
use crate::tree::{Content, Source, SourceFile};

use super::super::Sparse;

/// Files up to this many bytes are kept in memory, up to [`SMALL_TOTAL`] bytes in total.
const SMALL: u64 = 1 << 16;
const SMALL_TOTAL: u64 = 64 << 20;

/// Stores the contents of files.
pub struct Contents {
    directory: Arc<Path>,
    /// Bytes that are left for small files in memory.
    small: u64,
    /// Bytes that are left for all files, of `limit`.
    data: u64,
    limit: u64,
}

impl Contents {
    /// Stores contents in memory or as files in `directory`, at most `limit` bytes in total.
    pub fn new(directory: &Path, limit: u64) -> Contents {
        Contents {
            directory: directory.into(),
            small: SMALL_TOTAL,
            data: limit,
            limit,
        }
    }

    /// Stores the next `length` bytes of `from` as the content of file number `index`.
    ///
    /// # Errors
    /// If there are fewer bytes, or `sparse` does not match them, or the limit or the free space is
    /// exceeded.
    pub fn take(
        &mut self,
        index: usize,
        length: u64,
        from: &mut impl Read,
        sparse: Option<&Sparse>,
    ) -> Result<Content> {
        let size = sparse.map_or(length, |sparse| sparse.size);
        if let Some(sparse) = sparse {
            // Cannot overflow: the ranges are within the size of the file and do not overlap.
            let data: u64 = sparse.ranges().map(|range| range.length).sum();
            ensure!(
                data == length,
                "expected {data} bytes of data, found {length}"
            );
        }
        self.data = self.data.checked_sub(length).with_context(|| {
            format!(
                "with its {length} bytes, the guest's files exceed the {} bytes of its disk",
                self.limit
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
        let part = bytes.get_mut(start..end).context("data beyond the end")?;
        from.read_exact(part).context("the report is truncated")?;
    }
    Ok(Content::bytes(bytes))
}

fn copy(path: &Path, length: u64, from: &mut impl Read, sparse: Option<&Sparse>) -> Result<()> {
    let mut file = File::create(path)?;
    let whole = [(0, length)];
    for &(offset, length) in sparse.map_or(&whole[..], |sparse| &sparse.data) {
        file.seek(SeekFrom::Start(offset))?;
        let copied = io::copy(&mut from.by_ref().take(length), &mut file)?;
        ensure!(copied == length, "the report is truncated");
    }
    if let Some(sparse) = sparse {
        file.set_len(sparse.size)?;
    }
    Ok(())
}
