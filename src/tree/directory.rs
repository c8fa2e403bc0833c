//! The entries of a directory in a tree.

use super::names::{Name, Names};
use super::{InodeId, InsertError};

/// Names and the inodes they stand for, sorted by the bytes of the names.
///
/// A sorted vector instead of a map: most directories are filled in order and never changed, and
/// there may be a million of them.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    names: Names,
    entries: Vec<(Name, InodeId)>,
}

impl Directory {
    /// The number of entries, without `.` and `..`.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the inode of `name`.
    pub(crate) fn get(&self, name: &[u8]) -> Option<InodeId> {
        let at = self.position(name).ok()?;
        Some(self.entries[at].1)
    }

    /// Returns the entry at `index` in the order of names.
    pub(crate) fn nth(&self, index: usize) -> Option<(&[u8], InodeId)> {
        let &(name, id) = self.entries.get(index)?;
        Some((self.names.get(name), id))
    }

    /// Iterates over the entries, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], InodeId)> {
        let entries = self.entries.iter();
        entries.map(|&(name, id)| (self.names.get(name), id))
    }

    /// Creates a directory from `entries`, which must be sorted and have distinct names in `names`.
    pub(crate) fn from_sorted(names: Names, entries: Vec<(Name, InodeId)>) -> Directory {
        debug_assert!(entries.is_sorted_by(|&(a, _), &(b, _)| names.get(a) < names.get(b)));
        Directory { names, entries }
    }

    /// Replaces each inode with the result of `other` for it.
    pub(crate) fn map_inodes(&mut self, mut other: impl FnMut(InodeId) -> InodeId) {
        for (_, id) in &mut self.entries {
            *id = other(*id);
        }
    }

    pub(crate) fn insert(&mut self, name: &[u8], id: InodeId) -> Result<(), InsertError> {
        match self.position(name) {
            Ok(_) => Err(InsertError::Exists),
            Err(at) => {
                let name = self.names.add(name).ok_or(InsertError::TooManyNames)?;
                self.entries.insert(at, (name, id));
                Ok(())
            }
        }
    }

    /// Adds `entries`, which must be sorted by name; none of the names may exist. Adding them
    /// together avoids moving the entries behind each new one.
    pub(crate) fn extend(&mut self, entries: Vec<(&[u8], InodeId)>) -> Result<(), InsertError> {
        self.entries.reserve(entries.len());
        for (name, id) in entries {
            let name = self.names.add(name).ok_or(InsertError::TooManyNames)?;
            self.entries.push((name, id));
        }
        let names = &self.names;
        // This sort detects the two sorted runs.
        self.entries
            .sort_by(|&(a, _), &(b, _)| names.get(a).cmp(names.get(b)));
        Ok(())
    }

    /// Sets the inode of `name`, which must exist.
    pub(crate) fn replace(&mut self, name: &[u8], id: InodeId) {
        if let Ok(at) = self.position(name) {
            self.entries[at].1 = id;
        }
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<InodeId> {
        let at = self.position(name).ok()?;
        Some(self.entries.remove(at).1)
    }

    fn position(&self, name: &[u8]) -> Result<usize, usize> {
        // Names are mostly inserted in order, so the end is checked first.
        match self.entries.last() {
            Some(&(last, _)) if self.names.get(last) < name => Err(self.entries.len()),
            _ => self
                .entries
                .binary_search_by(|&(entry, _)| self.names.get(entry).cmp(name)),
        }
    }
}
