//! The entries of a directory.

use super::{InodeId, InsertError};

/// Names and the inodes they stand for, sorted by the bytes of the names.
///
/// A sorted vector and not a map: most directories are filled in order and never changed, and
/// there may be a million of them.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    entries: Vec<(Box<[u8]>, InodeId)>,
}

impl Directory {
    /// How many entries there are; `.` and `..` are none of them.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What `name` stands for.
    pub fn get(&self, name: &[u8]) -> Option<InodeId> {
        let at = self.position(name).ok()?;
        Some(self.entries[at].1)
    }

    /// The entry at place `index` in the order of names.
    pub fn nth(&self, index: usize) -> Option<(&[u8], InodeId)> {
        self.entries.get(index).map(|(name, id)| (&name[..], *id))
    }

    /// Every entry, in the order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], InodeId)> {
        self.entries.iter().map(|(name, id)| (&name[..], *id))
    }

    /// A directory of `entries`, which are sorted and have a different name each.
    pub(super) fn from_sorted(entries: Vec<(Box<[u8]>, InodeId)>) -> Directory {
        debug_assert!(entries.is_sorted_by(|(a, _), (b, _)| a < b));
        Directory { entries }
    }

    pub(super) fn insert(&mut self, name: &[u8], id: InodeId) -> Result<(), InsertError> {
        match self.position(name) {
            Ok(_) => Err(InsertError::Exists),
            Err(at) => {
                self.entries.insert(at, (name.into(), id));
                Ok(())
            }
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<InodeId> {
        let at = self.position(name).ok()?;
        Some(self.entries.remove(at).1)
    }

    fn position(&self, name: &[u8]) -> Result<usize, usize> {
        // Walks insert in order: the end is the place to look first.
        match self.entries.last() {
            Some((last, _)) if last[..] < *name => Err(self.entries.len()),
            _ => self
                .entries
                .binary_search_by(|(entry, _)| entry[..].cmp(name)),
        }
    }
}
