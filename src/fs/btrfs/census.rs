//! Numbering of all inodes of a tree, by subvolume. Everything that btrfs can't store is reported.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use super::btree::LONGEST_ITEM;
use super::layout::LONGEST;
use super::ondisk::{DirItem, objects};
use super::{hash, subvolumes, xattr};
use crate::escape;
use crate::fs::content::check_ranges;
use crate::fs::number::index;
use crate::fs::{Options, PlanError};
use crate::tree::{Content, Directory, Inode, InodeId, Kind, Tree};

const LONGEST_NAME: usize = 255;
/// Linux's limit on the target of a link.
const LONGEST_SYMLINK: usize = 4095;
/// `BTRFS_LABEL_SIZE`, less a zero at the end.
const LONGEST_LABEL: usize = 255;
/// `BTRFS_LINK_MAX`.
const MAX_LINKS: u32 = 65_535;
/// Linux's limit.
const LONGEST_FILE: u64 = i64::MAX.cast_unsigned();
/// The fewest names that can exceed an item if all have the same hash.
const FEWEST_COLLISIONS: usize = LONGEST_ITEM / (size_of::<DirItem>() + LONGEST_NAME);

/// In [`Census::places`], an inode that is not in any directory.
const NOWHERE: u32 = u32::MAX;
/// In [`Census::places`], the root of a subvolume that has no place yet.
const LATER: u32 = u32::MAX - 1;

/// One name of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The place of the directory.
    pub parent: u32,
    /// The index of the entry in the tree's directory.
    pub nth: u32,
}

/// A subvolume.
#[derive(Debug)]
pub struct Subvolume {
    /// The number of its tree.
    pub number: u64,
    /// The places of its inodes; the first one is its root directory.
    pub places: Range<u32>,
    /// Its name, unless it is the top one.
    pub name: Option<Name>,
}

/// All inodes of a tree in the order in which they are stored. The index of an inode in this order
/// is its place.
#[derive(Debug)]
pub struct Census {
    ids: Vec<InodeId>,
    /// The first name of each inode. It has no meaning for the root of a subvolume.
    names: Vec<Name>,
    /// Places by [`InodeId::index`].
    places: Vec<u32>,
    /// The other names of files with several, sorted by place and name.
    links: Vec<(u32, Name)>,
    subvolumes: Vec<Subvolume>,
}

impl Census {
    /// Numbers the inodes of `tree`. The directories at the paths `subvolumes` become subvolumes.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] with everything that btrfs can't store.
    pub fn new(
        tree: &Tree,
        subvolumes: &[Box<[u8]>],
        options: &Options,
    ) -> Result<Census, PlanError> {
        let mut problems = Vec::new();
        let label = options.label.as_bytes();
        if label.len() > LONGEST_LABEL || label.contains(&0) {
            problems.push(format!(
                "the label \"{}\" has {} bytes; btrfs's limit is {LONGEST_LABEL}, without NUL",
                escape::short(label),
                label.len()
            ));
        }
        let subvolumes = subvolumes::find(tree, subvolumes, &mut problems);
        let mut walk = Walk::new(tree, subvolumes, problems);
        walk.all();
        if walk.bytes > LONGEST {
            walk.problems.push(format!(
                "{} bytes of data; this btrfs writer's limit is {LONGEST} (16 TiB)",
                walk.bytes
            ));
        }
        match walk.problems.is_empty() {
            true => Ok(walk.census),
            false => Err(PlanError::Unrepresentable(walk.problems)),
        }
    }

    /// Returns all inodes in order.
    pub fn ids(&self) -> &[InodeId] {
        &self.ids
    }

    /// Returns the inode at `place`.
    pub fn id(&self, place: u32) -> Option<InodeId> {
        self.ids.get(index(place.into())).copied()
    }

    /// Returns the place of `id`, which is in a directory.
    pub fn place(&self, id: InodeId) -> u32 {
        self.places[id.index()]
    }

    /// Returns all subvolumes, the top one first.
    pub fn subvolumes(&self) -> &[Subvolume] {
        &self.subvolumes
    }

    /// Returns the subvolume that contains `place`.
    pub fn subvolume(&self, place: u32) -> &Subvolume {
        let after = self
            .subvolumes
            .partition_point(|subvolume| subvolume.places.start <= place);
        &self.subvolumes[after - 1]
    }

    /// Returns all names of the inode at `place`, which is no root of a subvolume.
    pub fn names(&self, place: u32) -> impl ExactSizeIterator<Item = Name> + Clone + '_ {
        let first = self.links.partition_point(|&(other, _)| other < place);
        let rest = &self.links[first..];
        let count = rest.partition_point(|&(other, _)| other == place);
        // The first name comes first in the walk, so it also sorts first.
        (0..count + 1).map(move |at| match at.checked_sub(1) {
            None => self.names[index(place.into())],
            Some(at) => rest[at].1,
        })
    }
}

impl Subvolume {
    /// Returns the number of the inode at `place`, which is in this subvolume.
    pub fn inode(&self, place: u32) -> u64 {
        objects::FIRST_FREE + u64::from(place.saturating_sub(self.places.start))
    }
}

/// A directory that is being walked.
struct Level<'a> {
    directory: &'a Directory,
    next: usize,
    place: u32,
}

/// A subvolume that is not yet walked.
struct Waiting {
    id: InodeId,
    name: Option<Name>,
    path: String,
}

struct Walk<'a> {
    tree: &'a Tree,
    census: Census,
    /// Directories that become subvolumes.
    roots: BTreeSet<InodeId>,
    waiting: VecDeque<Waiting>,
    /// Number of links to files with several names, by place.
    links: BTreeMap<u32, u32>,
    /// Bytes of data.
    bytes: u64,
    problems: Vec<String>,
    /// The path of the subvolume.
    top: String,
    /// The directories from the subvolume's root down. An explicit stack, because recursion in a
    /// deep tree could overflow the thread's stack.
    levels: Vec<Level<'a>>,
}

impl<'a> Walk<'a> {
    fn new(tree: &'a Tree, roots: BTreeSet<InodeId>, problems: Vec<String>) -> Walk<'a> {
        let count = tree.inodes().len();
        Walk {
            tree,
            census: Census {
                ids: Vec::with_capacity(count),
                names: Vec::with_capacity(count),
                places: vec![NOWHERE; count],
                links: Vec::new(),
                subvolumes: Vec::new(),
            },
            roots,
            waiting: VecDeque::new(),
            links: BTreeMap::new(),
            bytes: 0,
            problems,
            top: String::new(),
            levels: Vec::new(),
        }
    }

    fn all(&mut self) {
        let mut next = Some(Waiting {
            id: InodeId::ROOT,
            name: None,
            path: String::new(),
        });
        while let Some(Waiting { id, name, path }) = next {
            let numbers = self.census.subvolumes.len();
            // usize to u64: lossless.
            let number = match numbers {
                0 => objects::FS_TREE,
                _ => objects::FIRST_FREE + numbers as u64 - 1,
            };
            let start = self.next_place();
            self.top = path;
            self.census.subvolumes.push(Subvolume {
                number,
                places: start..start,
                name,
            });
            self.inode(
                id,
                Name {
                    parent: start,
                    nth: 0,
                },
            );
            self.directories();
            let end = self.next_place();
            if let Some(subvolume) = self.census.subvolumes.last_mut() {
                subvolume.places.end = end;
            }
            next = self.waiting.pop_front();
        }
        self.census.links.sort_unstable();
    }

    /// The place of the next inode. A tree has fewer than 2^32 inodes.
    fn next_place(&self) -> u32 {
        u32::try_from(self.census.ids.len()).unwrap_or(LATER)
    }

    fn directories(&mut self) {
        while let Some(level) = self.levels.last_mut() {
            let Some((name, id)) = level.directory.nth(level.next) else {
                self.levels.pop();
                continue;
            };
            let nth = level.next;
            level.next += 1;
            let parent = level.place;
            if name.len() > LONGEST_NAME {
                self.problem(format!(
                    "the name has {} bytes; btrfs's limit is {LONGEST_NAME}",
                    name.len()
                ));
            }
            match u32::try_from(nth) {
                Ok(nth) => self.entry(id, Name { parent, nth }),
                Err(_) => self.problem("the directory has more than 2^32 entries".to_owned()),
            }
        }
    }

    fn entry(&mut self, id: InodeId, name: Name) {
        let is_directory = self.tree.directory(id).is_some();
        let place = self.census.places[id.index()];
        if place != NOWHERE {
            match is_directory {
                true => self.problem("a hard link to a directory".to_owned()),
                false => self.link(place, name),
            }
            return;
        }
        if self.roots.contains(&id) {
            self.census.places[id.index()] = LATER;
            let path = self.path();
            self.waiting.push_back(Waiting {
                id,
                name: Some(name),
                path,
            });
            return;
        }
        self.inode(id, name);
    }

    fn link(&mut self, place: u32, name: Name) {
        let here = self.census.subvolumes.last();
        if here.is_some_and(|here| place < here.places.start) {
            self.problem(
                "a hard link to a file of another subvolume, which btrfs does not allow".to_owned(),
            );
            return;
        }
        let links = self.links.entry(place).or_insert(1);
        *links += 1;
        // Reported only once.
        if *links == MAX_LINKS + 1 {
            self.problem(format!(
                "the file has more than {MAX_LINKS} hard links, which is btrfs's limit"
            ));
        }
        self.census.links.push((place, name));
    }

    fn inode(&mut self, id: InodeId, name: Name) {
        let tree = self.tree;
        let place = self.next_place();
        self.census.places[id.index()] = place;
        self.census.ids.push(id);
        self.census.names.push(name);
        let inode = tree.inode(id);
        self.metadata(inode);
        match &inode.kind {
            Kind::Directory(directory) => {
                self.collisions(directory);
                self.levels.push(Level {
                    directory,
                    next: 0,
                    place,
                });
            }
            Kind::Symlink(target) => self.symlink(target),
            Kind::File(content) => self.file(content),
            Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
                if device.major >= 1 << 12 || device.minor >= 1 << 20 {
                    self.problem(format!(
                        "the device number is {}:{}; Linux's limit is 4095:1048575",
                        device.major, device.minor
                    ));
                }
            }
            Kind::Fifo | Kind::Socket => {}
        }
    }

    fn metadata(&mut self, inode: &Inode) {
        let metadata = &inode.metadata;
        for (field, id) in [("owner", metadata.uid), ("group", metadata.gid)] {
            if id == u32::MAX {
                self.problem(format!("the {field} ID is {id}; the limit is {}", id - 1));
            }
        }
        if metadata.mtime.nanoseconds >= 1_000_000_000 {
            self.problem(format!(
                "the time has {} ns; the limit is 999999999",
                metadata.mtime.nanoseconds
            ));
        }
        if let Some(problem) = xattr::problem(&metadata.xattrs) {
            self.problem(problem);
        }
    }

    /// Names with the same hash share an item, whose length is limited.
    fn collisions(&mut self, directory: &Directory) {
        if directory.len() < FEWEST_COLLISIONS {
            return;
        }
        let mut names: Vec<(u32, usize)> = directory
            .iter()
            .map(|(name, _)| (hash::name(name), size_of::<DirItem>() + name.len()))
            .collect();
        names.sort_unstable();
        let same = names.chunk_by(|a, b| a.0 == b.0);
        let longest: Option<usize> = same
            .map(|same| same.iter().map(|&(_, length)| length).sum())
            .max();
        if let Some(length) = longest
            && length > LONGEST_ITEM
        {
            self.problem(format!(
                "names of the directory that have the same hash need {length} bytes; btrfs's limit \
                 is {LONGEST_ITEM}"
            ));
        }
    }

    fn symlink(&mut self, target: &[u8]) {
        if target.is_empty() || target.contains(&0) {
            self.problem("the link target is empty or contains a NUL".to_owned());
        }
        if target.len() > LONGEST_SYMLINK {
            self.problem(format!(
                "the link target has {} bytes; Linux's limit is {LONGEST_SYMLINK}",
                target.len()
            ));
        }
    }

    fn file(&mut self, content: &Content) {
        if content.size > LONGEST_FILE {
            return self.problem(format!(
                "the file has {} bytes; Linux's limit is {LONGEST_FILE}",
                content.size
            ));
        }
        if let Err(problem) = check_ranges(content) {
            return self.problem(problem);
        }
        for range in content.data_ranges() {
            self.bytes = self.bytes.saturating_add(range.length);
        }
    }

    /// The path of the entry that was reached last, or of the subvolume's root.
    fn path(&self) -> String {
        let mut path = self.top.clone();
        for level in &self.levels {
            if let Some((name, _)) = level.directory.nth(level.next.wrapping_sub(1)) {
                path.push('/');
                path.push_str(&escape::bytes(name));
            }
        }
        path
    }

    /// Records a problem with the entry that was reached last.
    fn problem(&mut self, message: String) {
        let path = self.path();
        let path = if path.is_empty() { "/" } else { &path };
        self.problems.push(format!("{path}: {message}"));
    }
}
