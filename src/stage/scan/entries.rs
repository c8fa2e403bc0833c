//! The entries of one directory, from what was read to what the tree holds.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::read::{Entry, EntryKind, HostInode};
use crate::tree::{
    ChangeCheck, Content, Directory, Inode, InsertError, Kind, ListedPath, Metadata, Name, Names,
    Source, SourceDirectory, SourceFile,
};

/// What was read of a directory. It is used for one directory after the other.
#[derive(Default)]
pub struct Entries {
    names: Vec<u8>,
    found: Vec<Option<(Metadata, EntryKind)>>,
    /// Those that have several names, by their place in `found`, in that order.
    shared: Vec<(usize, HostInode)>,
    /// The name of each, and its place in `found`: sorting moves this, which is small.
    order: Vec<(Name, usize)>,
    inodes: Vec<Inode>,
}

/// All of a directory, in the order of names.
pub struct Sorted<'a> {
    /// Its names.
    pub names: Names,
    /// Where they are.
    pub places: Vec<Name>,
    /// What each stands for; directories are still empty.
    pub inodes: &'a mut Vec<Inode>,
    /// Those that have several names, by their place in `inodes`.
    pub shared: Vec<(usize, HostInode)>,
}

impl Entries {
    /// Adds what was found under `name`.
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

    /// Everything that was added, entries of the directory `path`; nothing is left.
    pub fn sorted(&mut self, path: &ListedPath, check: ChangeCheck) -> Sorted<'_> {
        let bytes = &self.names;
        // Much is in order where the kernel lists what was made first or last first, and this sort
        // finds it.
        self.order
            .sort_by(|(a, _), (b, _)| a.of(bytes).cmp(b.of(bytes)));
        let names = Names::take(&mut self.names);
        // An earlier directory may have been refused.
        self.inodes.clear();
        let mut places = Vec::with_capacity(self.order.len());
        let mut shared = Vec::new();
        let mut directory = None;
        for (at, (name, from)) in self.order.drain(..).enumerate() {
            let Some((metadata, kind)) = self.found.get_mut(from).and_then(Option::take) else {
                continue;
            };
            if let Ok(several) = self.shared.binary_search_by_key(&from, |&(from, _)| from) {
                shared.push((at, self.shared[several].1));
            }
            places.push(name);
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
            places,
            inodes: &mut self.inodes,
            shared,
        }
    }
}

impl Sorted<'_> {
    /// The directories: places in `inodes`, and names.
    pub fn directories(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let named = self.inodes.iter().zip(&self.places).enumerate();
        named
            .filter(|(_, (inode, _))| matches!(inode.kind, Kind::Directory(_)))
            .map(|(at, (_, &name))| (at, self.names.get(name)))
    }
}

/// The inode for what was found; a directory has no entries yet.
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
