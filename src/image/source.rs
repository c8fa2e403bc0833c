//! Where the bytes of a data extent are read from.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};

use super::copy::{open, read_at, shorter};
use crate::escape;
use crate::fs::DataExtent;
use crate::tree::{Kind, Source, Tree};

/// The bytes of one file of a tree, ready to be read.
pub enum Opened<'a> {
    /// They are in memory.
    Bytes(&'a [u8]),
    /// They are in a file, at this path.
    File(File, PathBuf),
}

impl Opened<'_> {
    /// Opens the file that `extent` is a part of.
    ///
    /// # Errors
    /// If it can't be opened, or is not as long as it was when it was listed.
    pub fn open<'a>(tree: &'a Tree, extent: &DataExtent) -> Result<Opened<'a>> {
        let inode = tree.inodes().get(extent.inode.index());
        let Some(Kind::File(content)) = inode.map(|inode| &inode.kind) else {
            return Err(anyhow!("data of no file: {extent:?}"));
        };
        Ok(match &content.source {
            Source::Bytes(bytes) => Opened::Bytes(bytes),
            Source::File(file) => {
                let path = file.path();
                Opened::File(open_unchanged(&path, content.size)?, path)
            }
        })
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// If reading fails, or there are not as many.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        match self {
            Opened::Bytes(bytes) => {
                buffer.copy_from_slice(slice(bytes, offset, buffer.len())?);
            }
            Opened::File(file, path) => {
                let got = read_at(file, path, buffer, offset)?;
                if got < buffer.len() {
                    // usize to u64: lossless on every target Rust has.
                    return Err(shorter(path, offset + got as u64));
                }
            }
        }
        Ok(())
    }
}

/// `length` of `bytes`, from `offset` on.
///
/// # Errors
/// If there are not as many.
pub fn slice(bytes: &[u8], offset: u64, length: usize) -> Result<&[u8]> {
    usize::try_from(offset)
        .ok()
        .and_then(|from| bytes.get(from..from.checked_add(length)?))
        .context("a file shorter than its size")
}

/// Opens a source that has to have `size` bytes.
fn open_unchanged(path: &Path, size: u64) -> Result<File> {
    let (file, length) = open(path)?;
    ensure!(
        length == size,
        "{} has {length} bytes and had {size} when it was listed: it was changed during the build",
        escape::path(path)
    );
    Ok(file)
}
