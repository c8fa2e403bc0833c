//! A file system, or a part of one, that is ready in a file.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::BLOCK;
use super::data::DataExtent;
use super::source::open;
use crate::escape;

/// A sparse file whose bytes go where they are in it: what `mkfs` has made. It stays open, so its
/// name may be removed.
#[derive(Debug)]
pub struct FinishedFile {
    file: File,
    path: PathBuf,
    length: u64,
    data: Vec<DataExtent>,
}

impl FinishedFile {
    /// The file `path`, which nobody changes any more.
    ///
    /// # Errors
    /// If it can't be opened, is no regular file, or its holes can't be found.
    pub fn open(path: &Path) -> Result<FinishedFile> {
        let (file, length) = open(path)?;
        let data = data_extents(&file, length)
            .with_context(|| format!("looking for the holes of {}", escape::path(path)))?;
        Ok(FinishedFile {
            file,
            path: path.to_owned(),
            length,
            data,
        })
    }

    /// Its length in bytes, holes included.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What is in it beside holes, in order, in whole blocks. The file has the number 0.
    pub fn data(&self) -> &[DataExtent] {
        &self.data
    }

    /// The file, for reading.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What it is called, or was, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The parts of a file of `length` bytes that are not holes, widened to whole blocks. A file system
/// that doesn't know its holes says that all is data.
fn data_extents(file: &File, length: u64) -> Result<Vec<DataExtent>> {
    let mut extents: Vec<DataExtent> = Vec::new();
    let mut at = 0;
    while at < length {
        let Some(data) = seek(file, at, Whence::SeekData)? else {
            break;
        };
        let hole = seek(file, data, Whence::SeekHole)?.unwrap_or(length);
        let start = (data / BLOCK * BLOCK).max(at);
        let end = hole
            .checked_next_multiple_of(BLOCK)
            .map_or(length, |end| end.min(length));
        if start >= end {
            break;
        }
        match extents.last_mut() {
            Some(last) if start == at && at > 0 => last.length += end - start,
            _ => extents.push(DataExtent {
                file: 0,
                file_offset: start,
                offset: start,
                length: end - start,
            }),
        }
        at = end;
    }
    Ok(extents)
}

/// `None` where there is nothing more to find (`ENXIO`, lseek(2)).
fn seek(file: &File, from: u64, whence: Whence) -> Result<Option<u64>> {
    let from = i64::try_from(from).context("a file offset beyond 2^63")?;
    match lseek(file, from, whence) {
        Ok(found) => Ok(Some(u64::try_from(found).context("a negative offset")?)),
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn extents_are_whole_blocks_and_leave_holes_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::create(&path).unwrap();
        let length = (1 << 21) + 7;
        file.set_len(length).unwrap();
        assert_eq!(FinishedFile::open(&path).unwrap().data(), []);
        file.write_all_at(b"x", 1 << 20).unwrap();
        file.write_all_at(b"end", length - 3).unwrap();
        let finished = FinishedFile::open(&path).unwrap();
        // It stays open.
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
