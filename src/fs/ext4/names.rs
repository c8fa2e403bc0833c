//! The names in a directory, and the space that their entries take.

use super::LOST_FOUND;
use super::features::Features;
use super::ondisk::DirEntry;
use crate::tree::Directory;

/// The names in a directory: those of the tree, and `lost+found` in the root directory if the tree
/// does not have it there.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The directory in the tree.
    pub directory: &'a Directory,
    /// Whether `lost+found` is added.
    pub lost_found: bool,
    /// The features of the file system.
    pub features: &'static Features,
}

impl<'a> Names<'a> {
    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.directory.len() + usize::from(self.lost_found)
    }

    /// Returns the name at index `at`.
    pub fn get(&self, at: usize) -> &'a [u8] {
        self.directory.nth(at).map_or(LOST_FOUND, |(name, _)| name)
    }

    /// Returns all names.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let extra = self.lost_found.then_some(LOST_FOUND);
        self.directory.iter().map(|(name, _)| name).chain(extra)
    }

    /// Returns whether the names need more than one block, and therefore an index.
    pub fn is_indexed(&self) -> bool {
        let space = self.features.entry_space();
        let mut length = entry_length(1) + entry_length(2);
        self.iter().any(|name| {
            length += entry_length(name.len());
            length > space
        })
    }
}

/// Returns the length of the entry of a name with `length` bytes.
pub fn entry_length(length: usize) -> usize {
    (size_of::<DirEntry>() + length).next_multiple_of(4)
}
