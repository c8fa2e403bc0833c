//! The entries of one directory, converted from what was read to what the tree stores.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::read::{Entry, EntryKind, HostInode};
use crate::tree::{
    ChangeCheck, Content, Directory, Inode, InsertError, Kind, ListedPath, Metadata, Name, Names,
    Source, SourceDirectory, SourceFile,
};

/// The entries read from a directory. The buffers are reused for one directory after the other.
#[derive(Default)]
pub struct Entries {
    names: Vec<u8>,
    found: Vec<Option<(Metadata, EntryKind)>>,
    /// Entries with several hard links, by their index in `found`, sorted.
    shared: Vec<(usize, HostInode)>,
    /// The name of each entry and its index in `found`. Sorting moves only these small values.
    order: Vec<(Name, usize)>,
    inodes: Vec<Inode>,
}

/// All entries of a directory, sorted by name.
pub struct Sorted<'a> {
    /// The bytes of the names.
    pub names: Names,
    /// The positions of the names in `names`.
    pub positions: Vec<Name>,
    /// The inode of each name; directories are still empty.
    pub inodes: &'a mut Vec<Inode>,
    /// Entries with several hard links, by their index in `inodes`.
    pub shared: Vec<(usize, HostInode)>,
}

impl Entries {
    /// Adds an entry.
    ///
    /// # Errors
    /// [`InsertError::TooManyNames`].
    pub fn add(&mut self, name: &OsStr, entry: Entry) -> Result<(), InsertError> {
        let name = Name::add(name.as_bytes(), &mut self.names).ok_or(InsertError::TooManyNames)?;
        let at = self.found.len();
        self.order.push((name, at));
        self.shared.extend(entry.shared.map(|shared| (at, shared)));
        self.found.push(Some((entry.metadata, entry.kind)));
        Ok(())
    }

    /// Takes all entries added so far, which are those of the directory `path`.
    pub fn sorted(&mut self, path: &ListedPath, check: ChangeCheck) -> Sorted<'_> {
        let bytes = &self.names;
        // Kernels often list entries in the order of creation or its reverse, so there are long
        // runs, which this sort detects.
        self.order
            .sort_by(|(a, _), (b, _)| a.of(bytes).cmp(b.of(bytes)));
        let names = Names::take(&mut self.names);
        // Adding an earlier directory to the tree may have failed.
        self.inodes.clear();
        let mut positions = Vec::with_capacity(self.order.len());
        let mut shared = Vec::new();
        let mut directory = None;
        for (at, (name, from)) in self.order.drain(..).enumerate() {
            let Some((metadata, kind)) = self.found.get_mut(from).and_then(Option::take) else {
                continue;
            };
            if let Ok(index) = self.shared.binary_search_by_key(&from, |&(from, _)| from) {
                shared.push((at, self.shared[index].1));
            }
            positions.push(name);
            self.inodes.push(inode(metadata, kind, |time| {
                directory
                    .get_or_insert_with(|| SourceDirectory::new(path.clone(), names.clone(), check))
                    .file(name, time)
            }));
        }
        self.found.clear();
        self.shared.clear();
        Sorted {
            names,
            positions,
            inodes: &mut self.inodes,
            shared,
        }
    }
}

impl Sorted<'_> {
    /// The directories: their indices in `inodes` and their names.
    pub fn directories(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let named = self.inodes.iter().zip(&self.positions).enumerate();
        named
            .filter(|(_, (inode, _))| matches!(inode.kind, Kind::Directory(_)))
            .map(|(at, (_, &name))| (at, self.names.get(name)))
    }
}

/// Creates the inode of an entry; a directory has no entries yet.
pub fn inode(metadata: Metadata, kind: EntryKind, file: impl FnOnce(i64) -> SourceFile) -> Inode {
    let kind = match kind {
        EntryKind::Directory => Kind::Directory(Directory::default()),
        EntryKind::File { size, data, time } => Kind::File(Content {
            size,
            source: Source::File(file(time)),
            data: data.map(Box::new),
        }),
        EntryKind::Other(kind) => kind,
    };
    Inode { metadata, kind }
}
