//! The entry of `contents` from which each inode of a tree comes.

use crate::spec::Graft;
use crate::tree::InodeId;

/// Maps each inode to the entry of `contents` it comes from. An entry's inodes include the parent
/// directories created for its target.
#[derive(Debug)]
pub struct Origins<'a> {
    contents: &'a [Graft],
    /// The index in [`crate::tree::Tree::inodes`] at which the inodes of each entry start, and the
    /// index after those of the last entry.
    first: Vec<usize>,
}

impl<'a> Origins<'a> {
    pub(super) fn new(contents: &'a [Graft]) -> Origins<'a> {
        Origins {
            contents,
            first: Vec::with_capacity(contents.len() + 1),
        }
    }

    /// No inode comes from an entry.
    pub(crate) fn empty() -> Origins<'a> {
        Origins::new(&[])
    }

    /// Inodes from `index` on come from the next entry.
    pub(super) fn start_entry(&mut self, index: usize) {
        self.first.push(index);
    }

    /// Inodes from `index` on come from no entry.
    pub(super) fn finish(&mut self, index: usize) {
        self.first.push(index);
    }

    /// The entry that `id` comes from and its index in `contents`; `None` if it comes from no
    /// entry.
    pub(crate) fn of(&self, id: InodeId) -> Option<(usize, &'a Graft)> {
        let index = self.first.partition_point(|&first| first <= id.index());
        let index = index.checked_sub(1)?;
        Some((index, self.contents.get(index)?))
    }

    /// The entry at `index` in `contents`.
    pub(crate) fn entry(&self, index: usize) -> Option<&'a Graft> {
        self.contents.get(index)
    }
}
