//! Counting the needs of a tree: a place for each inode, and blocks for each directory, long link
//! target and set of extended attributes. Everything that XFS can't store is reported.

use super::attribute::Attributes;
use super::directory::Shape;
use super::forks::{Data, Forks};
use super::geometry::CHUNK_BLOCKS;
use super::inode::TIMES;
use crate::escape;
use crate::fs::content::{check_ranges, data_blocks};
use crate::fs::{Options, PlanError};
use crate::tree::{Content, Inode, InodeId, Kind, Tree};

/// Length of the longest link target (`XFS_SYMLINK_MAXLEN`, which includes a zero).
const LONGEST_SYMLINK: usize = 1023;
const LONGEST_NAME: usize = 255;
const LONGEST_LABEL: usize = 12;
/// `XFS_MAXLINK`.
const MAX_LINKS: u32 = i32::MAX.cast_unsigned();
/// Length of the longest file.
const LONGEST_FILE: u64 = i64::MAX.cast_unsigned();
/// The largest device numbers that Linux finds again (`xfs_to_linux_dev_t`).
const LARGEST_MAJOR: u32 = (1 << 9) - 1;
const LARGEST_MINOR: u32 = (1 << 18) - 1;

/// Slots of the root directory and of the two inodes of the realtime section.
pub const ROOT: u32 = 0;
pub const REALTIME: [u32; 2] = [1, 2];
/// The first slot of the other inodes.
const FIRST: u32 = 3;
/// Inodes in a chunk.
pub const CHUNK: u64 = 64;
/// No more inodes than that, so that their numbers have 32 bits.
const MAX_SLOTS: u64 = 1 << 31;
/// The slot of an inode that is not in any directory.
const NONE: u32 = u32::MAX;

/// A directory, or an inode that has blocks of its own other than a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its slot.
    pub slot: u32,
    /// For a directory, the slot of its parent directory.
    pub parent: u32,
    /// For a directory, the number of its subdirectories.
    pub subdirectories: u32,
    /// Number of blocks of a directory's entries or of a link target.
    pub data: u32,
    /// For a directory, blocks of leaves and of the index of free space.
    pub leaf: u32,
    pub free: u32,
    /// Number of blocks of extended attributes.
    pub attributes: u32,
}

/// The slots of all inodes in a tree, and the blocks that the tree needs. Slots are numbers from 0 on
/// in the order of the walk; where the chunk of a slot is, the layout decides.
#[derive(Debug)]
pub struct Census {
    /// Inodes in the order of their slots, which begin at [`FIRST`].
    ids: Vec<InodeId>,
    /// Slots by [`InodeId::index`].
    slots: Vec<u32>,
    /// Number of hard links to each inode of `ids`. It has no meaning for directories.
    links: Vec<u32>,
    /// Holders in the order of their slots; the root comes first.
    pub holders: Vec<Holder>,
    /// Whether any inode has extended attributes.
    pub has_attributes: bool,
    /// Total number of ranges of data blocks in all files.
    pub ranges: usize,
    /// Minimum number of blocks for everything in the tree, without inodes.
    pub blocks: u64,
}

impl Census {
    /// Counts `tree`.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] with everything that XFS can't store.
    pub fn new(tree: &Tree, options: &Options) -> Result<Census, PlanError> {
        let mut problems = Vec::new();
        if options.label.len() > LONGEST_LABEL {
            problems.push(format!(
                "the label \"{}\" has {} bytes; XFS's limit is {LONGEST_LABEL}",
                escape::bytes(options.label.as_bytes()),
                options.label.len()
            ));
        }
        if !TIMES.contains(&options.time.seconds) {
            problems.push(format!(
                "the file system's own time is {} s after 1970; XFS's range is {} to {}",
                options.time.seconds,
                TIMES.start(),
                TIMES.end()
            ));
        }
        let count = tree.inodes().len();
        let mut walk = Walk {
            tree,
            census: Census {
                ids: Vec::with_capacity(count),
                slots: vec![NONE; count],
                links: Vec::with_capacity(count),
                holders: Vec::new(),
                has_attributes: false,
                ranges: 0,
                blocks: 0,
            },
            problems,
            levels: Vec::new(),
        };
        walk.all();
        match walk.problems.is_empty() {
            true => Ok(walk.census),
            false => Err(PlanError::Unrepresentable(walk.problems)),
        }
    }

    /// Returns the number of slots in use.
    pub fn inodes(&self) -> u64 {
        // usize to u64: lossless.
        u64::from(FIRST) + self.ids.len() as u64
    }

    /// Returns the number of chunks of inodes.
    pub fn chunks(&self) -> u64 {
        self.inodes().div_ceil(CHUNK)
    }

    /// Returns the number of blocks for everything, at least.
    pub fn least_blocks(&self) -> u64 {
        self.blocks.saturating_add(self.chunks() * CHUNK_BLOCKS)
    }

    /// Returns the inode in `slot`, or `None` if it is not in the tree.
    pub fn id(&self, slot: u32) -> Option<InodeId> {
        match slot {
            ROOT => Some(InodeId::ROOT),
            _ => {
                let at = slot.checked_sub(FIRST)?;
                self.ids.get(usize::try_from(at).ok()?).copied()
            }
        }
    }

    /// Returns the slot of `id`.
    pub fn slot(&self, id: InodeId) -> u32 {
        self.slots[id.index()]
    }

    /// Returns all inodes except the root, with their slots.
    pub fn ids(&self) -> impl Iterator<Item = (u32, InodeId)> + '_ {
        (FIRST..).zip(self.ids.iter().copied())
    }

    /// Returns the number of hard links to the inode in `slot`, which is not a directory.
    pub fn links(&self, slot: u32) -> u32 {
        let at = slot.checked_sub(FIRST).map(usize::try_from);
        match at {
            Some(Ok(at)) => self.links.get(at).copied().unwrap_or(1),
            _ => 1,
        }
    }
}

/// Returns how the space in `inode` is divided. `shape` is that of a directory.
pub fn forks(inode: &Inode, attributes: &Attributes<'_>, shape: Option<&Shape>) -> Forks {
    let data = match (&inode.kind, shape) {
        (Kind::Directory(_), Some(shape)) => Data::Bytes(shape.short),
        (Kind::Symlink(target), _) => Data::Bytes(target.len()),
        (Kind::File(_) | Kind::Directory(_), _) => Data::Extents,
        _ => Data::Device,
    };
    Forks::new(data, attributes)
}

/// A directory that is being walked.
struct Level<'a> {
    directory: &'a crate::tree::Directory,
    next: usize,
    /// Its index in the holders.
    holder: usize,
}

struct Walk<'a> {
    tree: &'a Tree,
    census: Census,
    problems: Vec<String>,
    /// The directories from the root down. An explicit stack, because recursion in a deep tree
    /// could overflow the thread's stack.
    levels: Vec<Level<'a>>,
}

impl Walk<'_> {
    fn all(&mut self) {
        self.census.slots[InodeId::ROOT.index()] = ROOT;
        self.inode(InodeId::ROOT, ROOT, ROOT);
        while let Some(level) = self.levels.last_mut() {
            let Some((name, id)) = level.directory.nth(level.next) else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            if name.len() > LONGEST_NAME {
                self.problem(format!(
                    "the name has {} bytes; XFS's limit is {LONGEST_NAME}",
                    name.len()
                ));
            }
            self.entry(id);
        }
    }

    fn entry(&mut self, id: InodeId) {
        let is_directory = self.tree.directory(id).is_some();
        let slot = self.census.slots[id.index()];
        if slot != NONE {
            match is_directory {
                true => self.problem("a hard link to a directory".to_owned()),
                false => self.link(slot),
            }
            return;
        }
        let parent = self.levels.last().map_or(0, |level| level.holder);
        let parent = &mut self.census.holders[parent];
        let parent_slot = parent.slot;
        if is_directory {
            parent.subdirectories += 1;
        }
        let next = self.census.inodes();
        let slot = match u32::try_from(next) {
            Ok(slot) if next < MAX_SLOTS => slot,
            _ => {
                return self.problem(format!(
                    "more than {MAX_SLOTS} inodes, which is this XFS writer's limit"
                ));
            }
        };
        self.census.slots[id.index()] = slot;
        self.census.ids.push(id);
        self.census.links.push(1);
        self.inode(id, slot, parent_slot);
    }

    fn link(&mut self, slot: u32) {
        let Ok(at) = usize::try_from(slot.saturating_sub(FIRST)) else {
            return;
        };
        let links = self.census.links[at];
        if links == MAX_LINKS {
            // Reported only once, because the count then exceeds the limit.
            self.problem(format!(
                "the file has more than {MAX_LINKS} hard links, which is XFS's limit"
            ));
        }
        self.census.links[at] = links.saturating_add(1);
    }

    fn inode(&mut self, id: InodeId, slot: u32, parent: u32) {
        let tree = self.tree;
        let inode = tree.inode(id);
        self.metadata(inode);
        let xattrs = &inode.metadata.xattrs;
        let attributes = match Attributes::new(xattrs) {
            Ok(attributes) => Some(attributes),
            Err(error) => {
                self.problem(error);
                None
            }
        };
        let attributes = attributes.unwrap_or_default();
        self.census.has_attributes |= !attributes.is_empty();
        let shape = match &inode.kind {
            Kind::Directory(directory) => match Shape::new(directory) {
                Some(shape) => Some(shape),
                None => {
                    return self.problem(
                        "the directory has more than 32 GiB of entries, which is XFS's limit"
                            .to_owned(),
                    );
                }
            },
            _ => None,
        };
        let forks = forks(inode, &attributes, shape.as_ref());
        let mut holder = Holder {
            slot,
            parent,
            subdirectories: 0,
            data: 0,
            leaf: 0,
            free: 0,
            attributes: 0,
        };
        if forks.attributes > 0 && !forks.are_attributes_short {
            holder.attributes = narrow(attributes.blocks());
        }
        match &inode.kind {
            Kind::File(content) => self.file(content),
            Kind::Symlink(target) => {
                self.symlink(target);
                holder.data = u32::from(!forks.is_data_short);
            }
            Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
                if device.major > LARGEST_MAJOR || device.minor > LARGEST_MINOR {
                    self.problem(format!(
                        "the device number is {}:{}; XFS's limit is {LARGEST_MAJOR}:{LARGEST_MINOR}",
                        device.major, device.minor
                    ));
                }
            }
            Kind::Directory(_) | Kind::Fifo | Kind::Socket => {}
        }
        if let Some(shape) = &shape
            && !forks.is_data_short
        {
            holder.data = narrow(shape.data);
            holder.leaf = narrow(shape.leaf);
            holder.free = narrow(shape.free);
        }
        let blocks = [holder.data, holder.leaf, holder.free, holder.attributes];
        let blocks: u64 = blocks.into_iter().map(u64::from).sum();
        self.census.blocks = self.census.blocks.saturating_add(blocks);
        if blocks > 0 || shape.is_some() {
            self.census.holders.push(holder);
        }
        if let Kind::Directory(directory) = &inode.kind {
            self.levels.push(Level {
                directory,
                next: 0,
                holder: self.census.holders.len() - 1,
            });
        }
    }

    fn symlink(&mut self, target: &[u8]) {
        if target.is_empty() || target.contains(&0) {
            self.problem("the link target is empty or contains a NUL".to_owned());
        }
        if target.len() > LONGEST_SYMLINK {
            self.problem(format!(
                "the link target has {} bytes; XFS's limit is {LONGEST_SYMLINK}",
                target.len()
            ));
        }
    }

    fn file(&mut self, content: &Content) {
        if content.size > LONGEST_FILE {
            return self.problem(format!(
                "the file has {} bytes; XFS's limit is {LONGEST_FILE}",
                content.size
            ));
        }
        if let Err(problem) = check_ranges(content) {
            return self.problem(problem);
        }
        for blocks in data_blocks(content) {
            let length = blocks.end - blocks.start;
            self.census.blocks = self.census.blocks.saturating_add(length);
            self.census.ranges += 1;
        }
    }

    fn metadata(&mut self, inode: &Inode) {
        let metadata = &inode.metadata;
        for (field, id) in [("owner", metadata.uid), ("group", metadata.gid)] {
            if id == u32::MAX {
                self.problem(format!("the {field} ID is {id}; the limit is {}", id - 1));
            }
        }
        if !TIMES.contains(&metadata.mtime.seconds) || metadata.mtime.nanoseconds >= 1_000_000_000 {
            self.problem(format!(
                "the time is {} s and {} ns after 1970; XFS's range is {} to {} s",
                metadata.mtime.seconds,
                metadata.mtime.nanoseconds,
                TIMES.start(),
                TIMES.end()
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

/// Converts a number of blocks that is limited to 2^23.
fn narrow(blocks: u64) -> u32 {
    u32::try_from(blocks).unwrap_or(u32::MAX)
}
