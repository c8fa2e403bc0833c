//! A file that contains a finished file system or part of one.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::BLOCK;
use super::data_extent::DataExtent;
use super::regular;
use crate::{escape, holes};

/// A sparse file whose bytes have the same offsets as in the file system, such as the output of a
/// `mkfs` program. It stays open, so its name may be removed.
#[derive(Debug)]
pub struct FinishedFile {
    file: File,
    path: PathBuf,
    length: u64,
    data: Vec<DataExtent>,
}

impl FinishedFile {
    /// Opens the file `path`, which must not change any more.
    ///
    /// # Errors
    /// If it can't be opened, is not a regular file, or its holes can't be found.
    pub fn open(path: &Path) -> Result<FinishedFile> {
        let (file, length) = regular::open(path)?;
        let ranges = holes::data_ranges(&file, length, BLOCK)
            .with_context(|| format!("finding the holes in {}", escape::path(path)))?;
        let extent = |range: Range<u64>| DataExtent {
            file: 0,
            file_offset: range.start,
            offset: range.start,
            length: range.end - range.start,
        };
        let data = ranges.into_iter().map(extent).collect();
        Ok(FinishedFile {
            file,
            path: path.to_owned(),
            length,
            data,
        })
    }

    /// The length in bytes, including holes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The parts that are not holes, in order and in whole blocks. The file has the number 0.
    pub fn data(&self) -> &[DataExtent] {
        &self.data
    }

    /// The file, for reading.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path under which it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn extents_are_whole_blocks_without_holes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::create(&path).unwrap();
        let length = (1 << 21) + 7;
        file.set_len(length).unwrap();
        assert_eq!(FinishedFile::open(&path).unwrap().data(), []);
        file.write_all_at(b"x", 1 << 20).unwrap();
        file.write_all_at(b"end", length - 3).unwrap();
        let finished = FinishedFile::open(&path).unwrap();
        // The file stays open.
        fs::remove_file(&path).unwrap();
        assert_eq!(finished.length(), length);
        let found: Vec<(u64, u64)> = finished
            .data()
            .iter()
            .map(|extent| (extent.offset, extent.length))
            .collect();
        assert_eq!(found, [(1 << 20, 4096), (1 << 21, 7)]);
    }
}
