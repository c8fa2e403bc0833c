//! The entries of one directory, from what was read to what the tree holds.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::read::{Found, HostInode, What};
use crate::tree::{
    Content, Directory, Inode, InsertError, Kind, Metadata, Name, Names, Source, SourceDirectory,
    SourceFile, Watch, Way,
};

/// What was read of a directory. It is used for one directory after the other.
#[derive(Default)]
pub struct Listed {
    names: Vec<u8>,
    found: Vec<Option<(Metadata, What)>>,
    /// Those that have several names, by their place in `found`, in that order.
    shared: Vec<(usize, HostInode)>,
    /// The name of each, and its place in `found`: sorting moves this, which is small.
    order: Vec<(Name, usize)>,
    inodes: Vec<Inode>,
}

/// All of a directory, in the order of names.
pub struct Ready<'a> {
    /// Its names.
    pub names: Names,
    /// Where they are.
    pub places: Vec<Name>,
    /// What each stands for; directories are still empty.
    pub inodes: &'a mut Vec<Inode>,
    /// Those that have several names, by their place in `inodes`.
    pub shared: Vec<(usize, HostInode)>,
}

impl Listed {
    /// Adds what was found under `name`.
    ///
    /// # Errors
    /// [`InsertError::TooManyNames`].
    pub fn add(&mut self, name: &OsStr, found: Found) -> Result<(), InsertError> {
        let name = Name::add(name.as_bytes(), &mut self.names).ok_or(InsertError::TooManyNames)?;
        let at = self.found.len();
        self.order.push((name, at));
        self.shared.extend(found.shared.map(|shared| (at, shared)));
        self.found.push(Some((found.metadata, found.what)));
        Ok(())
    }

    /// Everything that was added, found in the directory at the end of `way`; nothing is left.
    pub fn ready(&mut self, way: &Way, watch: Watch) -> Ready<'_> {
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
            let Some((metadata, what)) = self.found.get_mut(from).and_then(Option::take) else {
                continue;
            };
            if let Ok(several) = self.shared.binary_search_by_key(&from, |&(from, _)| from) {
                shared.push((at, self.shared[several].1));
            }
            places.push(name);
            self.inodes.push(inode(metadata, what, |time| {
                directory
                    .get_or_insert_with(|| SourceDirectory::new(way.clone(), names.clone(), watch))
                    .file(name, time)
            }));
        }
        self.found.clear();
        self.shared.clear();
        Ready {
            names,
            places,
            inodes: &mut self.inodes,
            shared,
        }
    }
}

impl Ready<'_> {
    /// The directories: places in `inodes`, and names.
    pub fn directories(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let named = self.inodes.iter().zip(&self.places).enumerate();
        named
            .filter(|(_, (inode, _))| matches!(inode.kind, Kind::Directory(_)))
            .map(|(at, (_, &name))| (at, self.names.get(name)))
    }
}

/// The inode for what was found; a directory has no entries yet.
pub fn inode(metadata: Metadata, what: What, file: impl FnOnce(i64) -> SourceFile) -> Inode {
    let kind = match what {
        What::Directory => Kind::Directory(Directory::default()),
        What::File { size, data, time } => Kind::File(Content {
            size,
            source: Source::File(file(time)),
            data: data.map(Box::new),
        }),
        What::Other(kind) => kind,
    };
    Inode { metadata, kind }
}
