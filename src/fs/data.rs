//! Bytes of a file system that are in files.

use super::finished::FinishedFile;
use crate::tree::{Content, InodeId, Kind, Tree};

/// A part of a file's bytes and where it goes. Lengths and offsets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataExtent {
    /// The file. What a number means is the plan's business: [`super::Plan::source`].
    pub file: u32,
    /// Where the part begins in the file.
    pub file_offset: u64,
    /// Where it begins in the file system; a multiple of the block size.
    pub offset: u64,
    /// How long it is; what is left of its last block is zeros.
    pub length: u64,
}

/// The file that a data extent is a part of.
#[derive(Debug, Clone, Copy)]
pub enum DataSource<'a> {
    /// A regular file of the tree.
    Tree(&'a Content),
    /// A file that was finished when the file system was planned.
    Finished(&'a FinishedFile),
}

impl<'a> DataSource<'a> {
    /// The regular file `id` of `tree`; `None` if it is anything else.
    pub fn of_tree(tree: &'a Tree, id: InodeId) -> Option<DataSource<'a>> {
        match &tree.inodes().get(id.index())?.kind {
            Kind::File(content) => Some(DataSource::Tree(content)),
            _ => None,
        }
    }

    /// Length of the file in bytes.
    pub fn length(&self) -> u64 {
        match self {
            DataSource::Tree(content) => content.size,
            DataSource::Finished(file) => file.length(),
        }
    }
}
