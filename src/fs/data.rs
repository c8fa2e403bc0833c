//! The files that hold data of a file system.

use super::finished::FinishedFile;
use crate::tree::{Content, InodeId, Kind, Tree};

/// The file that a data extent is a part of.
#[derive(Debug, Clone, Copy)]
pub enum DataSource<'a> {
    /// A regular file of the tree.
    Tree(&'a Content),
    /// A file that was written during planning.
    Finished(&'a FinishedFile),
}

impl<'a> DataSource<'a> {
    /// Returns the regular file `id` of `tree`, or `None` if `id` is anything else.
    pub(crate) fn of_tree(tree: &'a Tree, id: InodeId) -> Option<DataSource<'a>> {
        match &tree.inodes().get(id.index())?.kind {
            Kind::File(content) => Some(DataSource::Tree(content)),
            _ => None,
        }
    }

    /// Length of the file in bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            DataSource::Tree(content) => content.size,
            DataSource::Finished(file) => file.length(),
        }
    }
}
