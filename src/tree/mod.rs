//! A [`Tree`]: all files of a file system, and the sources of their bytes.
//!
//! Building a tree copies no data: a regular file refers to the file its bytes come from. Inodes
//! and names are separate, as on disk, so a hard link is one inode with two names.

mod directory;
mod flags;
mod inode;
pub mod listing;
mod names;
pub mod place;
mod source;

pub use directory::Directory;
pub use flags::Flags;
pub(crate) use inode::Xattrs;
pub use inode::{Content, DataRange, Device, Inode, Kind, Metadata, Timestamp, Xattr};
pub(crate) use names::{Name, Names};
pub use source::{ChangeCheck, Source, SourceFile};
pub(crate) use source::{ListedPath, SourceDirectory};

use std::ops::Range;

/// The number of an inode within its [`Tree`]; unrelated to inode numbers on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(u32);

impl InodeId {
    /// The root directory of every tree.
    pub const ROOT: InodeId = InodeId(0);

    /// The index in [`Tree::inodes`].
    pub fn index(self) -> usize {
        // u32 to usize: lossless on every target with 32-bit pointers or wider.
        self.0 as usize
    }
}

/// The inodes of a file system, the root directory first.
#[derive(Debug, Clone)]
pub struct Tree {
    inodes: Vec<Inode>,
}

/// Why an entry could not be added to a [`Tree`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InsertError {
    /// The parent is not a directory.
    #[error("the parent is not a directory")]
    NotADirectory,
    /// The name already exists in the directory.
    #[error("the name already exists")]
    Exists,
    /// The name is empty, `.`, `..`, or contains `/` or NUL.
    #[error("not a valid file name")]
    BadName,
    /// More than 4 GiB of names in one directory.
    #[error("a directory is limited to 4 GiB of names")]
    TooManyNames,
    /// More than 2^32 - 1 inodes.
    #[error("a tree is limited to 4294967295 inodes")]
    Full,
}

impl Tree {
    /// Creates a tree that consists of its root directory.
    pub fn new(root: Metadata) -> Tree {
        Tree {
            inodes: vec![Inode {
                metadata: root,
                kind: Kind::Directory(Directory::default()),
            }],
        }
    }

    /// All inodes, the root first, then in order of creation. This includes inodes without a name;
    /// only [`Tree::walk`] is limited to those that are reachable.
    pub fn inodes(&self) -> &[Inode] {
        &self.inodes
    }

    /// Returns the inode `id`.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    /// All inodes, as in [`Tree::inodes`], for changing their metadata.
    pub(crate) fn inodes_mut(&mut self) -> &mut [Inode] {
        &mut self.inodes
    }

    /// Returns the inode `id`, for changing its metadata.
    pub fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.index()]
    }

    /// Returns the entries of `id` if it is a directory.
    pub fn directory(&self, id: InodeId) -> Option<&Directory> {
        match &self.inode(id).kind {
            Kind::Directory(entries) => Some(entries),
            _ => None,
        }
    }

    /// Adds a new inode under `name` in the directory `parent`.
    ///
    /// # Errors
    /// See [`InsertError`]; the tree is not changed on failure.
    pub fn insert(
        &mut self,
        parent: InodeId,
        name: &[u8],
        inode: Inode,
    ) -> Result<InodeId, InsertError> {
        let id = InodeId(self.next_ids(1)?.start);
        self.link(parent, name, id)?;
        self.inodes.push(inode);
        Ok(id)
    }

    /// Adds an inode that has no name yet.
    ///
    /// # Errors
    /// [`InsertError::Full`]; the tree is not changed on failure.
    pub(crate) fn push(&mut self, inode: Inode) -> Result<InodeId, InsertError> {
        let id = InodeId(self.next_ids(1)?.start);
        self.inodes.push(inode);
        Ok(id)
    }

    /// Adds `inodes` without names, and empties the vector. Returns their IDs, in the same order.
    ///
    /// # Errors
    /// [`InsertError::Full`]; the tree is not changed on failure.
    pub(crate) fn append(
        &mut self,
        inodes: &mut Vec<Inode>,
    ) -> Result<impl Iterator<Item = InodeId> + use<>, InsertError> {
        let ids = self.next_ids(inodes.len())?;
        self.inodes.append(inodes);
        Ok(ids.map(InodeId))
    }

    /// Adds all inodes of `from` and returns the ID of its root, which has no name in this tree.
    ///
    /// # Errors
    /// [`InsertError::Full`]; the tree is not changed on failure.
    pub(crate) fn adopt(&mut self, from: Tree) -> Result<InodeId, InsertError> {
        let first = self.next_ids(from.inodes.len())?.start;
        self.inodes.extend(from.inodes.into_iter().map(|mut inode| {
            if let Kind::Directory(entries) = &mut inode.kind {
                entries.map_inodes(|id| InodeId(id.0 + first));
            }
            inode
        }));
        Ok(InodeId(first))
    }

    /// Makes the directory `id`, which must not have a name, the root. The old root is left without
    /// a name.
    pub(crate) fn set_root(&mut self, id: InodeId) {
        self.inodes.swap(InodeId::ROOT.index(), id.index());
    }

    /// Returns the IDs of the next `count` inodes.
    fn next_ids(&self, count: usize) -> Result<Range<u32>, InsertError> {
        let first = self.inodes.len();
        let end = first.checked_add(count).ok_or(InsertError::Full)?;
        let number = |n: usize| u32::try_from(n).map_err(|_| InsertError::Full);
        Ok(number(first)?..number(end)?)
    }

    /// Gives the inode `target` one more name: a hard link.
    ///
    /// # Errors
    /// See [`InsertError`]; the tree is not changed on failure.
    pub fn link(
        &mut self,
        parent: InodeId,
        name: &[u8],
        target: InodeId,
    ) -> Result<(), InsertError> {
        if name.is_empty() || name == b"." || name == b".." {
            return Err(InsertError::BadName);
        }
        if name.iter().any(|&byte| byte == b'/' || byte == 0) {
            return Err(InsertError::BadName);
        }
        match &mut self.inodes[parent.index()].kind {
            Kind::Directory(entries) => entries.insert(name, target),
            _ => Err(InsertError::NotADirectory),
        }
    }

    /// Returns the inode of `name` in the directory `parent`.
    pub fn lookup(&self, parent: InodeId, name: &[u8]) -> Option<InodeId> {
        self.directory(parent)?.get(name)
    }

    /// Removes `name` from the directory `parent` and returns its inode.
    pub(crate) fn unlink(&mut self, parent: InodeId, name: &[u8]) -> Option<InodeId> {
        match &mut self.inodes[parent.index()].kind {
            Kind::Directory(entries) => entries.remove(name),
            _ => None,
        }
    }

    /// Visits every entry below the root: parents before children, the entries of a directory
    /// sorted by the bytes of their names. An inode with several names is visited once for each of
    /// them. `visit` gets the path relative to the root, without a leading `/`, and the inode.
    pub fn walk(&self, visit: impl FnMut(&[u8], InodeId)) {
        self.walk_below(InodeId::ROOT, visit);
    }

    /// Like [`Tree::walk`], but visits what is below `top`; paths are relative to `top`.
    pub(crate) fn walk_below(&self, top: InodeId, mut visit: impl FnMut(&[u8], InodeId)) {
        let mut path = Vec::new();
        // A stack instead of recursion: a hostile tree may be deeper than the thread's stack
        // allows.
        let mut stack = vec![(0usize, top, 0usize)];
        while let Some((length, id, next)) = stack.pop() {
            let Some((name, child)) = self.directory(id).and_then(|d| d.nth(next)) else {
                continue;
            };
            stack.push((length, id, next + 1));
            path.truncate(length);
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            visit(&path, child);
            if self.directory(child).is_some() {
                stack.push((path.len(), child, 0));
            }
        }
    }

    /// Returns the path of a hard link to a directory, which may even be a cycle; `None` if the
    /// tree is valid. [`Tree::link`] does not prevent such links, and [`Tree::walk`] may not
    /// terminate with one.
    pub(crate) fn hard_linked_directory(&self) -> Option<Vec<u8>> {
        let mut seen = vec![false; self.inodes.len()];
        seen[InodeId::ROOT.index()] = true;
        let mut stack = vec![(Vec::new(), InodeId::ROOT)];
        while let Some((path, id)) = stack.pop() {
            for (name, child) in self.directory(id).into_iter().flat_map(Directory::iter) {
                if self.directory(child).is_none() {
                    continue;
                }
                let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
                let here = [&path[..], separator, name].concat();
                if std::mem::replace(&mut seen[child.index()], true) {
                    return Some(here);
                }
                stack.push((here, child));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Inode {
        Inode {
            metadata: Metadata::new(0o644),
            kind: Kind::File(Content::bytes(b"x".to_vec())),
        }
    }

    fn directory() -> Inode {
        Inode {
            metadata: Metadata::new(0o755),
            kind: Kind::Directory(Directory::default()),
        }
    }

    #[test]
    fn walk_visits_parents_first_and_names_in_byte_order() {
        let mut tree = Tree::new(Metadata::new(0o755));
        let b = tree.insert(InodeId::ROOT, b"b", directory()).unwrap();
        let x = tree.insert(b, b"x", file()).unwrap();
        tree.insert(InodeId::ROOT, b"a", file()).unwrap();
        tree.link(InodeId::ROOT, b"c", x).unwrap();
        let mut seen = Vec::new();
        tree.walk(|path, id| seen.push((String::from_utf8(path.to_vec()).unwrap(), id)));
        let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "b/x", "c"]);
        assert_eq!(seen[2].1, seen[3].1);
    }

    #[test]
    fn finds_hard_links_to_directories() {
        for (from, name) in [("a/b", "a"), ("a/b", "a/b"), ("", "a"), ("", "")] {
            let mut tree = Tree::new(Metadata::new(0o755));
            let a = tree.insert(InodeId::ROOT, b"a", directory()).unwrap();
            let b = tree.insert(a, b"b", directory()).unwrap();
            let file = tree.insert(b, b"f", file()).unwrap();
            tree.link(a, b"g", file).unwrap();
            assert_eq!(tree.hard_linked_directory(), None);
            let id = |path| match path {
                "" => InodeId::ROOT,
                "a" => a,
                _ => b,
            };
            tree.link(id(from), b"x", id(name)).unwrap();
            let found = tree.hard_linked_directory().unwrap();
            assert!(found.ends_with(b"/x") || [&b"x"[..], b"a/b"].contains(&&found[..]));
        }
    }

    #[test]
    fn rejects_existing_and_invalid_names() {
        let mut tree = Tree::new(Metadata::new(0o755));
        let a = tree.insert(InodeId::ROOT, b"a", file()).unwrap();
        for (parent, name, error) in [
            (InodeId::ROOT, &b"a"[..], InsertError::Exists),
            (InodeId::ROOT, b"", InsertError::BadName),
            (InodeId::ROOT, b".", InsertError::BadName),
            (InodeId::ROOT, b"..", InsertError::BadName),
            (InodeId::ROOT, b"a/b", InsertError::BadName),
            (InodeId::ROOT, b"a\0b", InsertError::BadName),
            (a, b"b", InsertError::NotADirectory),
        ] {
            assert_eq!(tree.insert(parent, name, file()), Err(error));
        }
        assert_eq!(tree.inodes().len(), 2);
    }
}
