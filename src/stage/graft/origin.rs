//! Which entry of `contents` put what into a tree.

use crate::spec::Graft;
use crate::tree::InodeId;

/// Which entry of `contents` every inode came from, with the directories made on the way to its
/// target.
#[derive(Debug)]
pub struct Origins<'a> {
    contents: &'a [Graft],
    /// The place in [`crate::tree::Tree::inodes`] of the first inode that came with each entry, or
    /// that would have, and of the first that came after them all.
    first: Vec<usize>,
}

impl<'a> Origins<'a> {
    pub(super) fn new(contents: &'a [Graft]) -> Origins<'a> {
        Origins {
            contents,
            first: Vec::with_capacity(contents.len() + 1),
        }
    }

    /// Nothing came from any entry.
    pub(crate) fn none() -> Origins<'a> {
        Origins::new(&[])
    }

    /// From place `at` on, inodes come from the next entry.
    pub(super) fn next_is_from(&mut self, at: usize) {
        self.first.push(at);
    }

    /// From place `at` on, they come from none.
    pub(super) fn others_are_from(&mut self, at: usize) {
        self.first.push(at);
    }

    /// The entry that `id` came from, and its place in `contents`; `None` where it came from none.
    pub(crate) fn of(&self, id: InodeId) -> Option<(usize, &'a Graft)> {
        let at = self.first.partition_point(|&first| first <= id.index());
        let at = at.checked_sub(1)?;
        Some((at, self.contents.get(at)?))
    }

    /// The entry at place `at` in `contents`.
    pub(crate) fn entry(&self, at: usize) -> Option<&'a Graft> {
        self.contents.get(at)
    }
}
