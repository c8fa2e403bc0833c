//! What a tree needs: a number for each inode, and blocks for each directory, long link target and
//! extended attributes; and what in it ext4 can't hold.

use super::directory::{self, LOST_FOUND_BLOCKS};
use super::extent;
use super::inode::{MOST_LINKS, SECONDS};
use super::names::Names;
use super::ondisk::{BLOCK_SIZE, IBlock};
use super::xattr::Attributes;
use super::{FIRST_FREE_INODE, LOST_FOUND, LOST_FOUND_INODE, ROOT_INODE};
use super::{dirhash, hash_seed};
use crate::escape;
use crate::fs::number::index;
use crate::fs::{Options, PlanError};
use crate::tree::{Content, Directory, Inode, InodeId, Kind, Tree};

/// Bytes of a link target that are in the inode, with a zero after them.
pub const FAST_SYMLINK: usize = size_of::<IBlock>();
/// Bytes of the longest target: a block, with a zero at its end.
const LONGEST_SYMLINK: usize = 4095;
const LONGEST_NAME: usize = 255;
const LONGEST_LABEL: usize = 16;
/// Blocks are numbered with 32 bits within a file, and the last number is no block.
const LONGEST_FILE: u64 = u32::MAX as u64 * BLOCK_SIZE; // u32 to u64: lossless

/// An inode that has blocks of its own which are not a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub number: u32,
    /// For a directory, the number of the one it is in.
    pub parent: u32,
    /// For a directory, how many directories are in it.
    pub subdirectories: u32,
    /// Blocks of a directory or of a link target.
    pub blocks: u64,
    /// Whether it has a block of extended attributes.
    pub xattr_block: bool,
}

/// A tree, counted.
#[derive(Debug)]
pub struct Census {
    /// Inodes by number: the first is number 12.
    ids: Vec<InodeId>,
    /// Numbers by [`InodeId::index`]; 0 for what no directory names.
    numbers: Vec<u32>,
    /// How many names the inodes of `ids` have; directories are not counted.
    links: Vec<u16>,
    /// By number; the root and `lost+found` first.
    holders: Vec<Holder>,
    /// The tree's own `lost+found`.
    lost_found: Option<InodeId>,
    /// How many ranges of data blocks all files have.
    pub ranges: usize,
    /// The fewest blocks that everything in the tree takes.
    pub blocks: u64,
}

impl Census {
    /// Counts `tree`.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] with everything that ext4 can't hold.
    pub fn new(tree: &Tree, options: &Options) -> Result<Census, PlanError> {
        let mut problems = Vec::new();
        if options.label.len() > LONGEST_LABEL {
            problems.push(format!(
                "the label \"{}\" has {} bytes; ext4 holds {LONGEST_LABEL}",
                escape::bytes(options.label.as_bytes()),
                options.label.len()
            ));
        }
        if !(0..=*SECONDS.end()).contains(&options.time.seconds) {
            problems.push(format!(
                "the file system's own time is {} s after 1970; ext4 holds 0 to {}",
                options.time.seconds,
                SECONDS.end()
            ));
        }
        let mut walk = Walk::new(tree, hash_seed(options.uuid), problems);
        walk.all();
        match walk.problems.is_empty() {
            true => Ok(walk.census),
            false => Err(PlanError::Unrepresentable(walk.problems)),
        }
    }

    /// Inodes that are in use, the file system's own included: the numbers 1 to this.
    pub fn inodes(&self) -> u64 {
        // usize to u64: lossless.
        FIRST_FREE_INODE + self.ids.len() as u64
    }

    /// The inode `number`; `None` for what the tree doesn't have.
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

    /// The number of `id`; 0 if no directory names it.
    pub fn number(&self, id: InodeId) -> u32 {
        self.numbers[id.index()]
    }

    /// All inodes from number 12 on, in order.
    pub fn ids(&self) -> &[InodeId] {
        &self.ids
    }

    /// How many names the inode `number` has, which is no directory.
    pub fn links(&self, number: u32) -> u32 {
        let at = u64::from(number) - FIRST_FREE_INODE - 1;
        u32::from(self.links[index(at)])
    }

    /// Inodes with blocks of their own, by number.
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    /// The names in the directory `number`, whose entries in the tree are `directory`.
    pub fn names<'a>(&self, number: u32, directory: &'a Directory) -> Names<'a> {
        Names {
            directory,
            lost_found: number == ROOT_INODE && self.lost_found.is_none(),
        }
    }
}

/// The blocks of a file that hold data, as ranges of block numbers within the file.
pub fn data_blocks(content: &Content) -> impl Iterator<Item = std::ops::Range<u64>> + '_ {
    let mut ranges = content
        .data_ranges()
        .map(|range| range.offset / BLOCK_SIZE..(range.offset + range.length).div_ceil(BLOCK_SIZE))
        .peekable();
    std::iter::from_fn(move || {
        let mut range = ranges.next()?;
        while let Some(next) = ranges.next_if(|next| next.start <= range.end) {
            range.end = range.end.max(next.end);
        }
        Some(range)
    })
}

/// A directory that is being walked.
struct Level<'a> {
    directory: &'a Directory,
    next: usize,
    /// Its place in the holders.
    holder: usize,
}

struct Walk<'a> {
    tree: &'a Tree,
    census: Census,
    seed: dirhash::Seed,
    problems: Vec<String>,
    /// The directories from the root down. Not recursion: a tree may be deeper than the stack.
    levels: Vec<Level<'a>>,
}

impl<'a> Walk<'a> {
    fn new(tree: &'a Tree, seed: dirhash::Seed, problems: Vec<String>) -> Walk<'a> {
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
                ids: Vec::with_capacity(count),
                numbers: vec![0; count],
                links: Vec::with_capacity(count),
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
                    "a name of {} bytes; ext4 holds {LONGEST_NAME}",
                    name.len()
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
                true => self.problem("a second name of a directory".to_owned()),
                false => self.link(number),
            }
            return;
        }
        if is_directory {
            self.census.holders[parent].subdirectories += 1;
        }
        let parent_number = self.census.holders[parent].number;
        if parent == 0 && name == LOST_FOUND {
            self.census.numbers[id.index()] = LOST_FOUND_INODE;
            if !is_directory {
                self.problem("not a directory; ext4 keeps this name for fsck".to_owned());
                return;
            }
            return self.inode(id, LOST_FOUND_INODE, parent_number);
        }
        let Ok(number) = u32::try_from(self.census.inodes() + 1) else {
            return self.problem("inode number 4294967296; ext4 holds 4294967295".to_owned());
        };
        self.census.numbers[id.index()] = number;
        self.census.ids.push(id);
        self.census.links.push(1);
        self.inode(id, number, parent_number);
    }

    fn link(&mut self, number: u32) {
        let at = index(u64::from(number) - FIRST_FREE_INODE - 1);
        let links = self.census.links[at];
        if u32::from(links) == MOST_LINKS {
            // Told once: the count goes no further.
            self.problem(format!(
                "name number {} of one file; ext4 holds {MOST_LINKS}",
                MOST_LINKS + 1
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
            match Attributes::new(&inode.metadata.xattrs) {
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
                        "a device {}:{}; Linux holds 4095:1048575",
                        device.major, device.minor
                    ));
                }
                0
            }
            Kind::Fifo | Kind::Socket => 0,
        };
        self.census.blocks += blocks + u64::from(xattr_block);
        self.census.blocks += extent::tree_blocks(extent::count(blocks));
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
            self.problem("a link target that is empty or has a NUL in it".to_owned());
        }
        if target.len() > LONGEST_SYMLINK {
            self.problem(format!(
                "a link target of {} bytes; ext4 holds {LONGEST_SYMLINK}",
                target.len()
            ));
        }
        u64::from(target.len() >= FAST_SYMLINK)
    }

    fn file(&mut self, content: &Content) {
        if content.size > LONGEST_FILE {
            return self.problem(format!(
                "a file of {} bytes; ext4 holds {LONGEST_FILE}",
                content.size
            ));
        }
        let mut end = 0;
        for range in content.data_ranges() {
            let next = range.offset.checked_add(range.length);
            match next {
                Some(next) if range.offset >= end && range.length > 0 && next <= content.size => {
                    end = next;
                }
                _ => {
                    return self.problem(format!(
                        "{} bytes of data from {} on; the data before it ends at {end}, the file at {}",
                        range.length, range.offset, content.size
                    ));
                }
            }
        }
        let mut extents = 0;
        for blocks in data_blocks(content) {
            let length = blocks.end - blocks.start;
            extents += extent::count(length);
            self.census.blocks += length;
            self.census.ranges += 1;
        }
        self.census.blocks += extent::tree_blocks(extents);
    }

    fn metadata(&mut self, inode: &Inode) {
        let metadata = &inode.metadata;
        for (what, id) in [("owner", metadata.uid), ("group", metadata.gid)] {
            if id == u32::MAX {
                self.problem(format!("the {what} {id}; the largest is {}", id - 1));
            }
        }
        if !SECONDS.contains(&metadata.mtime.seconds) || metadata.mtime.nanoseconds >= 1_000_000_000
        {
            self.problem(format!(
                "a time of {} s and {} ns after 1970; ext4 holds {} to {} s",
                metadata.mtime.seconds,
                metadata.mtime.nanoseconds,
                SECONDS.start(),
                SECONDS.end()
            ));
        }
    }

    /// Notes that the entry which was reached last can't be held.
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
