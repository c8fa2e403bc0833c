//! Examining a tree: hard links, parents, the order of inodes, and everything that EROFS can't store.

use super::limits;
use super::xattr::Shared;
use crate::escape;
use crate::fs::{Options, PlanError};
use crate::tree::{Directory, InodeId, Tree};

/// Length of the longest label. The superblock has 16 bytes, but Linux before 6.4 rejects a label
/// without a zero at its end.
const LONGEST_LABEL: usize = 15;

/// What is known about the inodes of a tree before they have places.
#[derive(Debug)]
pub struct Census {
    /// All inodes that have a name: the root, then the new ones in each directory together.
    pub order: Vec<InodeId>,
    /// Number of hard links by [`InodeId::index`]; 0 for inodes without a name.
    links: Vec<u32>,
    /// The parent of each directory by [`InodeId::index`].
    parents: Vec<InodeId>,
    /// Extended attributes that several inodes have.
    pub shared: Shared,
}

impl Census {
    /// Examines `tree`.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] with everything that EROFS can't store.
    pub fn new(tree: &Tree, options: &Options) -> Result<Census, PlanError> {
        let mut problems = Vec::new();
        if options.label.len() > LONGEST_LABEL {
            problems.push(format!(
                "the label \"{}\" has {} bytes; EROFS's limit is {LONGEST_LABEL}",
                escape::bytes(options.label.as_bytes()),
                options.label.len()
            ));
        }
        let mut walk = Walk::new(tree, problems);
        walk.all();
        if !walk.problems.is_empty() {
            return Err(PlanError::Unrepresentable(walk.problems));
        }
        let (links, parents) = (walk.links, walk.parents);
        let order = order(tree, &links);
        let shared = Shared::new(order.iter().map(|&id| &tree.inode(id).metadata.xattrs));
        Ok(Census {
            order,
            links,
            parents,
            shared,
        })
    }

    /// Returns the number of hard links to `id`.
    pub fn links(&self, id: InodeId) -> u32 {
        self.links[id.index()]
    }

    /// Returns the parent of the directory `id`; the root is its own.
    pub fn parent(&self, id: InodeId) -> InodeId {
        self.parents[id.index()]
    }
}

/// Puts the inodes in an order in which those of a directory are adjacent, because they are often
/// read together.
fn order(tree: &Tree, links: &[u32]) -> Vec<InodeId> {
    let count = links.iter().filter(|&&links| links > 0).count();
    let mut order = Vec::with_capacity(count);
    let mut seen = vec![false; links.len()];
    seen[InodeId::ROOT.index()] = true;
    order.push(InodeId::ROOT);
    let mut directories = vec![InodeId::ROOT];
    while let Some(directory) = directories.pop() {
        let first = order.len();
        for (_, id) in tree
            .directory(directory)
            .into_iter()
            .flat_map(Directory::iter)
        {
            if !std::mem::replace(&mut seen[id.index()], true) {
                order.push(id);
            }
        }
        let new = order[first..].iter().rev();
        directories.extend(new.filter(|&&id| tree.directory(id).is_some()));
    }
    order
}

/// A directory that is being walked.
struct Level<'a> {
    id: InodeId,
    directory: &'a Directory,
    next: usize,
}

struct Walk<'a> {
    tree: &'a Tree,
    links: Vec<u32>,
    parents: Vec<InodeId>,
    problems: Vec<String>,
    /// The directories from the root down. An explicit stack, because recursion in a deep tree
    /// could overflow the thread's stack.
    levels: Vec<Level<'a>>,
}

impl<'a> Walk<'a> {
    fn new(tree: &'a Tree, problems: Vec<String>) -> Walk<'a> {
        let count = tree.inodes().len();
        Walk {
            tree,
            links: vec![0; count],
            parents: vec![InodeId::ROOT; count],
            problems,
            levels: Vec::new(),
        }
    }

    fn all(&mut self) {
        self.first(InodeId::ROOT, InodeId::ROOT);
        while let Some(level) = self.levels.last_mut() {
            let Some((name, id)) = level.directory.nth(level.next) else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            let parent = level.id;
            if let Some(problem) = limits::name(name) {
                self.problem(&problem);
            }
            self.entry(id, parent);
        }
    }

    fn entry(&mut self, id: InodeId, parent: InodeId) {
        let links = self.links[id.index()];
        if links == 0 {
            if self.tree.directory(id).is_some() {
                self.add_link(parent);
            }
            self.first(id, parent);
        } else if self.tree.directory(id).is_some() {
            self.problem("a hard link to a directory");
        } else {
            self.add_link(id);
        }
    }

    /// Handles the first name of an inode.
    fn first(&mut self, id: InodeId, parent: InodeId) {
        let inode = self.tree.inode(id);
        self.links[id.index()] = 1;
        self.parents[id.index()] = parent;
        limits::inode(inode, &mut |problem| self.problem(&problem));
        if let Some(directory) = self.tree.directory(id) {
            // Its name and its entry ".".
            self.links[id.index()] = 2;
            self.levels.push(Level {
                id,
                directory,
                next: 0,
            });
        }
    }

    /// Counts a link. No tree has as many entries as a counter has values.
    fn add_link(&mut self, id: InodeId) {
        let links = &mut self.links[id.index()];
        *links = links.saturating_add(1);
    }

    /// Records a problem with the entry that was reached last.
    fn problem(&mut self, message: &str) {
        let mut path = String::new();
        for level in &self.levels {
            if let Some((name, _)) = level.directory.nth(level.next.wrapping_sub(1)) {
                path.push('/');
                path.push_str(&escape::bytes(name));
            }
        }
        if path.is_empty() {
            path.push('/');
        }
        self.problems.push(format!("{path}: {message}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Inode, Kind, Metadata};

    fn inode(kind: Kind) -> Inode {
        Inode {
            metadata: Metadata::new(0o755),
            kind,
        }
    }

    #[test]
    fn inodes_of_a_directory_are_adjacent() {
        let mut tree = Tree::new(Metadata::new(0o755));
        let mut ids = vec![InodeId::ROOT];
        let directory = || inode(Kind::Directory(Directory::default()));
        let file = || inode(Kind::File(Content::bytes(Vec::new())));
        let a = tree.insert(InodeId::ROOT, b"a", directory()).unwrap();
        let x = tree.insert(a, b"x", directory()).unwrap();
        let y = tree.insert(x, b"y", file()).unwrap();
        let b = tree.insert(InodeId::ROOT, b"b", directory()).unwrap();
        let c = tree.insert(InodeId::ROOT, b"c", file()).unwrap();
        tree.link(b, b"again", y).unwrap();
        ids.extend([a, b, c, x, y]);
        let options = Options {
            uuid: uuid::Uuid::nil(),
            label: String::new(),
            time: crate::tree::Timestamp::STORE,
        };
        let census = Census::new(&tree, &options).unwrap();
        assert_eq!(census.order, ids);
        let links: Vec<u32> = ids.iter().map(|&id| census.links(id)).collect();
        assert_eq!(links, [4, 3, 2, 1, 2, 2]);
        assert_eq!(census.parent(x), a);
        assert_eq!(census.parent(InodeId::ROOT), InodeId::ROOT);
    }
}
