//! Which entry of `contents` put what into a tree.

use crate::spec::Graft;
use crate::tree::InodeId;

/// Which entry of `contents` every inode came from, with the directories made on the way to its
/// target.
#[derive(Debug)]
pub struct Origins<'a> {
    contents: &'a [Graft],
    /// The first inode that came with each entry, or that would have, and the first that came after
    /// them all.
    first: Vec<InodeId>,
}

impl<'a> Origins<'a> {
    pub(super) fn new(contents: &'a [Graft]) -> Origins<'a> {
        Origins {
            contents,
            first: Vec::with_capacity(contents.len() + 1),
        }
    }

    /// Nothing came from any entry.
    pub fn none() -> Origins<'a> {
        Origins::new(&[])
    }

    /// From `id` on, inodes come from the next entry.
    pub(super) fn next_is_from(&mut self, id: InodeId) {
        self.first.push(id);
    }

    /// From `id` on, they come from none.
    pub(super) fn others_are_from(&mut self, id: InodeId) {
        self.first.push(id);
    }

    /// The entry that `id` came from, and its place in `contents`; `None` where it came from none.
    pub fn of(&self, id: InodeId) -> Option<(usize, &'a Graft)> {
        let at = self.first.partition_point(|&first| first <= id);
        let at = at.checked_sub(1)?;
        Some((at, self.contents.get(at)?))
    }

    /// The entry at place `at` in `contents`.
    pub fn entry(&self, at: usize) -> Option<&'a Graft> {
        self.contents.get(at)
    }
}
