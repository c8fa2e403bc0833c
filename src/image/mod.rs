//! An [`Image`]: the whole disk as parts, the one step that moves bytes, and a reader for those who
//! want to see the disk without that.

mod batch;
mod copy;
mod lazy;
mod queue;
mod reserve;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod way;
mod worker;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};

use crate::fs::Plan;
use crate::tree::{Kind, Tree};

pub use lazy::{LazyImage, Reader};
pub use write::write;

/// A whole disk. What no part covers is zeros.
pub struct Image {
    /// Length of the disk in bytes.
    pub length: u64,
    /// The parts, ordered by `start`, none overlapping, all within `length`.
    pub parts: Vec<Part>,
}

/// A part of a disk.
pub struct Part {
    /// What it is, for people: "protective MBR and GPT", "root file system".
    pub name: String,
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub length: u64,
    /// Its bytes.
    pub content: Content,
}

/// Where the bytes of a [`Part`] come from.
pub enum Content {
    /// Bytes in memory, at most as long as the part; the rest is zeros.
    Bytes(Vec<u8>),
    /// A file, at most as long as the part, holes included; the rest is zeros.
    File(PathBuf),
    /// A planned file system, at most as long as the part, and the tree it holds.
    FileSystem {
        /// Where every byte goes.
        plan: Box<dyn Plan>,
        /// Where the bytes of files come from.
        tree: Arc<Tree>,
    },
}

impl Image {
    /// How many bytes of files [`write()`] copies: the bytes it reports to its `progress`, which
    /// leaves out tables and the file systems' own metadata.
    pub fn data_length(&self) -> u64 {
        self.parts
            .iter()
            .map(|part| match &part.content {
                Content::FileSystem { plan, .. } => {
                    plan.data().iter().map(|extent| extent.length).sum()
                }
                Content::Bytes(_) | Content::File(_) => 0,
            })
            .sum()
    }

    /// Checks that the parts keep what the types promise: order, bounds, and for a file system
    /// extents that are apart, within it, and of regular files of its tree.
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
            let content = match &part.content {
                // usize to u64: lossless on every target Rust has.
                Content::Bytes(bytes) => bytes.len() as u64,
                Content::FileSystem { plan, tree } => {
                    check_extents(name, plan.as_ref(), tree)?;
                    plan.length()
                }
                // Its length is known when it is opened.
                Content::File(_) => 0,
            };
            ensure!(
                content <= length,
                "the part \"{name}\" has {length} bytes and its content {content}"
            );
        }
        Ok(())
    }
}

fn check_extents(name: &str, plan: &dyn Plan, tree: &Tree) -> Result<()> {
    let mut free_from = 0;
    for extent in plan.data() {
        let end = extent.offset.checked_add(extent.length);
        let source_end = extent.file_offset.checked_add(extent.length);
        let file = tree.inodes().get(extent.inode.index());
        let Some(Kind::File(content)) = file.map(|inode| &inode.kind) else {
            bail!("\"{name}\" has data of something that is no file of its tree: {extent:?}");
        };
        ensure!(
            source_end.is_some_and(|end| end <= content.size),
            "\"{name}\" has data beyond the {} bytes of its file: {extent:?}",
            content.size
        );
        match end {
            Some(end) if end <= plan.length() && extent.offset >= free_from => free_from = end,
            _ => bail!("\"{name}\" has data that overlaps or is out of bounds: {extent:?}"),
        }
    }
    Ok(())
}
