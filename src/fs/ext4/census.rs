//! Counting the needs of a tree: a number for each inode, and blocks for each directory, long link
//! target and set of extended attributes. Everything that the
//! type can't store is reported.

use super::directory::{self, LOST_FOUND_BLOCKS};
use super::features::Features;
use super::mapping::{self, Counter};
use super::names::Names;
use super::ondisk::IBlock;
use super::xattr::Attributes;
use super::{FIRST_FREE_INODE, LOST_FOUND, LOST_FOUND_INODE, ROOT_INODE};
use super::{dirhash, hash_seed};
use crate::escape;
use crate::fs::content::{check_ranges, data_blocks};
use crate::fs::number::index;
use crate::fs::{Options, PlanError};
use crate::tree::{Content, Directory, Inode, InodeId, Kind, Timestamp, Tree};

/// Space for a link target in the inode, including a zero at its end.
pub const FAST_SYMLINK: usize = size_of::<IBlock>();
/// Length of the longest link target, which fills a block with a zero at its end.
const LONGEST_SYMLINK: usize = 4095;
const LONGEST_NAME: usize = 255;
const LONGEST_LABEL: usize = 16;

/// An inode that has blocks of its own other than a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The number of the inode.
    pub number: u32,
    /// For a directory, the number of its parent directory.
    pub parent: u32,
    /// For a directory, the number of its subdirectories.
    pub subdirectories: u32,
    /// Number of blocks of a directory or link target.
    pub blocks: u64,
    /// Whether the inode has a block of extended attributes.
    pub xattr_block: bool,
}

/// In place of the length of a file: the file has holes, or the length is larger than this.
const IN_TREE: u32 = u32::MAX;

/// The data of a file.
pub enum Data<'a> {
    /// As many bytes, without holes.
    Whole(u64),
    /// The data ranges of this file.
    Parts(&'a Content),
}

/// The numbers of all inodes in a tree, and the blocks that the tree needs.
#[derive(Debug)]
pub struct Census {
    /// The features of the file system.
    pub features: &'static Features,
    /// Inodes in the order of their numbers, which begin at 12.
    ids: Vec<InodeId>,
    /// Numbers by [`InodeId::index`]; 0 for inodes that are not in any directory.
    numbers: Vec<u32>,
    /// Number of hard links to each inode of `ids`. It has no meaning for directories.
    links: Vec<u16>,
    /// Number of bytes of data of each of `ids`: the length of a file, 0 for everything else, or
    /// [`IN_TREE`]. Reading it here is faster than from the tree, where inodes are in any order.
    lengths: Vec<u32>,
    /// Holders in the order of their numbers; the root and `lost+found` come first.
    holders: Vec<Holder>,
    /// The `lost+found` of the tree, if it has one.
    lost_found: Option<InodeId>,
    /// Total number of ranges of data blocks in all files.
    pub ranges: usize,
    /// Minimum number of blocks for everything in the tree.
    pub blocks: u64,
}

impl Census {
    /// Counts `tree`.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] with everything that the type can't store.
    pub fn new(
        tree: &Tree,
        options: &Options,
        features: &'static Features,
    ) -> Result<Census, PlanError> {
        let (name, last) = (features.name, features.seconds.1);
        let mut problems = Vec::new();
        if options.label.len() > LONGEST_LABEL {
            problems.push(format!(
                "the label \"{}\" has {} bytes; {name}'s limit is {LONGEST_LABEL}",
                escape::bytes(options.label.as_bytes()),
                options.label.len()
            ));
        }
        if !(0..=last).contains(&options.time.seconds) {
            problems.push(format!(
                "the file system's own time is {} s after 1970; {name}'s range is 0 to {last}",
                options.time.seconds
            ));
        }
        let mut walk = Walk::new(tree, features, hash_seed(options.uuid), problems);
        walk.all();
        match walk.problems.is_empty() {
            true => Ok(walk.census),
            false => Err(PlanError::Unrepresentable(walk.problems)),
        }
    }

    /// Returns the number of inodes in use, including the file system's own. It is also the highest
    /// inode number in use.
    pub fn inodes(&self) -> u64 {
        // usize to u64: lossless.
        FIRST_FREE_INODE + self.ids.len() as u64
    }

    /// Returns the inode with the number `number`, or `None` if the tree does not contain it.
    pub fn id(&self, number: u32) -> Option<InodeId> {
        match number {
            ROOT_INODE => Some(InodeId::ROOT),
            LOST_FOUND_INODE => self.lost_found,
            _ => {
                let first = u32::try_from(FIRST_FREE_INODE + 1).ok()?;
                let at = number.checked_sub(first)?;
                self.ids.get(index(u64::from(at))).copied()
            }
        }
    }

    /// Returns the number of `id`, or 0 if it is not in any directory.
    pub fn number(&self, id: InodeId) -> u32 {
        self.numbers[id.index()]
    }

    /// Returns the files of `tree` that have data, in the order of their numbers, which come first.
    pub fn data<'a>(&'a self, tree: &'a Tree) -> impl Iterator<Item = (u32, Data<'a>)> {
        let numbered = (LOST_FOUND_INODE + 1..).zip(&self.lengths);
        numbered.filter_map(|(number, &length)| match length {
            0 => None,
            IN_TREE => match &tree.inode(self.id(number)?).kind {
                Kind::File(content) => Some((number, Data::Parts(content))),
                _ => None,
            },
            length => Some((number, Data::Whole(length.into()))),
        })
    }

    /// Returns the number of hard links to the inode `number`, which is not a directory.
    pub fn links(&self, number: u32) -> u32 {
        let at = u64::from(number) - FIRST_FREE_INODE - 1;
        u32::from(self.links[index(at)])
    }

    /// Returns the inodes with blocks of their own, in the order of their numbers.
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    /// Returns the names in the directory `number`, whose entries in the tree are `directory`.
    pub fn names<'a>(&self, number: u32, directory: &'a Directory) -> Names<'a> {
        Names {
            directory,
            lost_found: number == ROOT_INODE && self.lost_found.is_none(),
            features: self.features,
        }
    }
}

/// Returns what [`Census::lengths`] has for an inode of the kind `kind`.
fn length(kind: &Kind) -> u32 {
    match kind {
        Kind::File(Content {
            size, data: None, ..
        }) => u32::try_from(*size).unwrap_or(IN_TREE),
        Kind::File(_) => IN_TREE,
        _ => 0,
    }
}

/// A directory that is being walked.
struct Level<'a> {
    directory: &'a Directory,
    next: usize,
    /// Its index in the holders.
    holder: usize,
}

struct Walk<'a> {
    tree: &'a Tree,
    census: Census,
    seed: dirhash::Seed,
    problems: Vec<String>,
    /// The directories from the root down. An explicit stack, because recursion in a deep tree
    /// could overflow the thread's stack.
    levels: Vec<Level<'a>>,
}

impl<'a> Walk<'a> {
    fn new(
        tree: &'a Tree,
        features: &'static Features,
        seed: dirhash::Seed,
        problems: Vec<String>,
    ) -> Walk<'a> {
        let lost_found = Holder {
            number: LOST_FOUND_INODE,
            parent: ROOT_INODE,
            subdirectories: 0,
            blocks: LOST_FOUND_BLOCKS,
            xattr_block: false,
        };
        let root = Holder {
            number: ROOT_INODE,
            ..lost_found
        };
        let count = tree.inodes().len();
        Walk {
            tree,
            census: Census {
                features,
                ids: Vec::with_capacity(count),
                numbers: vec![0; count],
                links: Vec::with_capacity(count),
                lengths: Vec::with_capacity(count),
                holders: vec![root, lost_found],
                lost_found: None,
                ranges: 0,
                blocks: 0,
            },
            seed,
            problems,
            levels: Vec::new(),
        }
    }

    fn all(&mut self) {
        let root_has = self.tree.lookup(InodeId::ROOT, LOST_FOUND);
        self.census.lost_found = root_has;
        self.census.numbers[InodeId::ROOT.index()] = ROOT_INODE;
        self.inode(InodeId::ROOT, ROOT_INODE, 0);
        if root_has.is_none() {
            self.census.holders[0].subdirectories += 1;
            self.census.blocks += LOST_FOUND_BLOCKS;
        }
        while let Some(level) = self.levels.last_mut() {
            let Some((name, id)) = level.directory.nth(level.next) else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            if name.len() > LONGEST_NAME {
                self.problem(format!(
                    "the name has {} bytes; {}'s limit is {LONGEST_NAME}",
                    name.len(),
                    self.census.features.name
                ));
            }
            self.entry(name, id);
        }
    }

    fn entry(&mut self, name: &[u8], id: InodeId) {
        let is_directory = self.tree.directory(id).is_some();
        let parent = self.levels.last().map_or(0, |level| level.holder);
        let number = self.census.numbers[id.index()];
        if number != 0 {
            match is_directory {
                true => self.problem("a hard link to a directory".to_owned()),
                false => self.link(number),
            }
            return;
        }
        if is_directory {
            self.subdirectory(parent);
        }
        let parent_number = self.census.holders[parent].number;
        if parent == 0 && name == LOST_FOUND {
            self.census.numbers[id.index()] = LOST_FOUND_INODE;
            if !is_directory {
                self.problem(format!(
                    "not a directory; {} reserves this name for fsck",
                    self.census.features.name
                ));
                return;
            }
            return self.inode(id, LOST_FOUND_INODE, parent_number);
        }
        let Ok(number) = u32::try_from(self.census.inodes() + 1) else {
            return self.problem(format!(
                "inode number 4294967296; {}'s limit is 4294967295",
                self.census.features.name
            ));
        };
        self.census.numbers[id.index()] = number;
        self.census.ids.push(id);
        self.census.links.push(1);
        self.census.lengths.push(length(&self.tree.inode(id).kind));
        self.inode(id, number, parent_number);
    }

    /// Counts another subdirectory of the holder `parent`.
    fn subdirectory(&mut self, parent: usize) {
        let Features {
            name, max_links, ..
        } = self.census.features;
        let subdirectories = &mut self.census.holders[parent].subdirectories;
        *subdirectories = subdirectories.saturating_add(1);
        // Reported only once.
        if !self.census.features.dir_nlink() && *subdirectories == max_links - 1 {
            self.problem(format!(
                "its directory has more than {} subdirectories, which is {name}'s limit",
                max_links - 2
            ));
        }
    }

    fn link(&mut self, number: u32) {
        let at = index(u64::from(number) - FIRST_FREE_INODE - 1);
        let links = self.census.links[at];
        let Features {
            name, max_links, ..
        } = self.census.features;
        if u32::from(links) == *max_links {
            // Reported only once, because the count then exceeds the limit.
            self.problem(format!(
                "the file has more than {max_links} hard links, which is {name}'s limit"
            ));
        }
        self.census.links[at] = links.saturating_add(1);
    }

    fn inode(&mut self, id: InodeId, number: u32, parent: u32) {
        let tree = self.tree;
        let inode = tree.inode(id);
        self.metadata(inode);
        let mut xattr_block = false;
        if !inode.metadata.xattrs.is_empty() {
            match Attributes::new(&inode.metadata.xattrs, self.census.features) {
                Ok(attributes) => xattr_block = attributes.needs_block(),
                Err(error) => self.problem(error),
            }
        }
        let blocks = match &inode.kind {
            Kind::Directory(directory) => self.directory(number, directory),
            Kind::Symlink(target) => self.symlink(target),
            Kind::File(content) => {
                self.file(content);
                0
            }
            Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
                if device.major >= 1 << 12 || device.minor >= 1 << 20 {
                    self.problem(format!(
                        "the device number is {}:{}; Linux's limit is 4095:1048575",
                        device.major, device.minor
                    ));
                }
                0
            }
            Kind::Fifo | Kind::Socket => 0,
        };
        self.census.blocks += blocks + u64::from(xattr_block);
        self.census.blocks += mapping::blocks(self.census.features, blocks);
        if blocks == 0 && !xattr_block {
            return;
        }
        let holder = Holder {
            number,
            parent,
            subdirectories: 0,
            blocks,
            xattr_block,
        };
        let place = match number {
            ROOT_INODE => 0,
            LOST_FOUND_INODE => 1,
            _ => self.census.holders.len(),
        };
        match place < 2 {
            true => self.census.holders[place] = holder,
            false => self.census.holders.push(holder),
        }
        if let Kind::Directory(directory) = &inode.kind {
            self.levels.push(Level {
                directory,
                next: 0,
                holder: place,
            });
        }
    }

    fn directory(&mut self, number: u32, directory: &Directory) -> u64 {
        let names = self.census.names(number, directory);
        let blocks = match directory::blocks(&names, self.seed) {
            Ok(blocks) => blocks,
            Err(error) => {
                self.problem(error.to_string());
                return 1;
            }
        };
        match number {
            LOST_FOUND_INODE => blocks.max(LOST_FOUND_BLOCKS),
            _ => blocks,
        }
    }

    fn symlink(&mut self, target: &[u8]) -> u64 {
        if target.is_empty() || target.contains(&0) {
            self.problem("the link target is empty or contains a NUL".to_owned());
        }
        if target.len() > LONGEST_SYMLINK {
            self.problem(format!(
                "the link target has {} bytes; {}'s limit is {LONGEST_SYMLINK}",
                target.len(),
                self.census.features.name
            ));
        }
        u64::from(target.len() >= FAST_SYMLINK)
    }

    fn file(&mut self, content: &Content) {
        let features = self.census.features;
        if content.size > features.longest_file() {
            return self.problem(format!(
                "the file has {} bytes; {}'s limit is {}",
                content.size,
                features.name,
                features.longest_file()
            ));
        }
        if let Err(problem) = check_ranges(content) {
            return self.problem(problem);
        }
        let mut map = Counter::new(features);
        for blocks in data_blocks(content) {
            self.census.blocks += blocks.end - blocks.start;
            map.add(blocks);
            self.census.ranges += 1;
        }
        self.census.blocks += map.blocks();
    }

    fn metadata(&mut self, inode: &Inode) {
        let metadata = &inode.metadata;
        for (field, id) in [("owner", metadata.uid), ("group", metadata.gid)] {
            if id == u32::MAX {
                self.problem(format!("the {field} ID is {id}; the limit is {}", id - 1));
            }
        }
        let (first, last) = self.census.features.seconds;
        let Timestamp {
            seconds,
            nanoseconds,
        } = metadata.mtime;
        if !(first..=last).contains(&seconds) || nanoseconds >= 1_000_000_000 {
            self.problem(format!(
                "the time is {seconds} s and {nanoseconds} ns after 1970; {}'s range is {first} to {last} s",
                self.census.features.name
            ));
        }
    }

    /// Records a problem with the entry that was reached last.
    fn problem(&mut self, message: String) {
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
