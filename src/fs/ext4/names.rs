//! The names of a directory, and the bytes that their entries take.

use super::LOST_FOUND;
use super::ondisk::{Block, DirEntry, DirEntryTail};
use crate::tree::Directory;

/// Bytes of entries in a block; the rest is its checksum.
pub const ENTRY_SPACE: usize = size_of::<Block>() - size_of::<DirEntryTail>();

/// The names of a directory: those of the tree, and for the root `lost+found` when the tree has
/// none.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// What the tree has.
    pub directory: &'a Directory,
    /// Whether `lost+found` comes on top.
    pub lost_found: bool,
}

impl<'a> Names<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.directory.len() + usize::from(self.lost_found)
    }

    /// The name at place `at`.
    pub fn get(&self, at: usize) -> &'a [u8] {
        self.directory.nth(at).map_or(LOST_FOUND, |(name, _)| name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let extra = self.lost_found.then_some(LOST_FOUND);
        self.directory.iter().map(|(name, _)| name).chain(extra)
    }

    /// Whether they need more than one block, and so an index.
    pub fn is_indexed(&self) -> bool {
        let mut length = entry_length(1) + entry_length(2);
        self.iter().any(|name| {
            length += entry_length(name.len());
            length > ENTRY_SPACE
        })
    }
}

/// Bytes of the entry of a name with `length` bytes.
pub fn entry_length(length: usize) -> usize {
    (size_of::<DirEntry>() + length).next_multiple_of(4)
}
