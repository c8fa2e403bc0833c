//! Counting the needs of a tree: a number for each inode and other node, and its blocks in each log.
//! Everything that f2fs can't store is reported.

use super::directory::{Table, fits_inline};
use super::label;
use super::logs::Log;
use super::nodes::{self, LONGEST_FILE, Node, Run, runs_of_file};
use super::ondisk::BLOCK_SIZE;
use super::temperature::{self, Temperature};
use super::xattr;
use super::{INLINE_DATA, INLINE_XATTR, ROOT_INODE};
use crate::escape;
use crate::fs::content::check_ranges;
use crate::fs::number::index;
use crate::fs::{Options, PlanError};
use crate::tree::{Content, Directory, Inode, InodeId, Kind, Tree};

/// Length of the longest link target that Linux supports, which fills a block with a zero at its end.
const LONGEST_SYMLINK: usize = 4095;
const LONGEST_NAME: usize = 255;
/// Number of blocks in a segment.
const SEGMENT: u64 = super::geometry::SEGMENT as u64; // u32 to u64: lossless

/// An inode of the tree. Places are indices of blocks in the respective log.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// Its ID in the tree.
    pub id: InodeId,
    /// The index of the directory with its first name.
    pub parent: u32,
    /// The index of its first name in that directory.
    pub position: u32,
    /// Number of hard links.
    pub links: u32,
    /// Its place in the log of its nodes. Its other nodes in that log follow.
    pub node: u32,
    /// The place of its first indirect node.
    pub indirect: u32,
    /// The place of its first data block.
    pub data: u32,
    /// The number of nodes that are not inodes before its own.
    pub others: u32,
    /// The log of its data.
    pub data_log: Log,
}

/// The inodes of a tree in the order of their numbers, and the blocks that they need.
#[derive(Debug)]
pub struct Census {
    items: Vec<Item>,
    /// Inode numbers by [`InodeId::index`]; 0 for inodes that are not in any directory.
    numbers: Vec<u32>,
    /// The directories with blocks of their own, by their indices.
    tables: Vec<(u32, Table)>,
    /// The number of blocks in each log.
    blocks: [u64; 6],
    /// For each log and each of its segments, the index of the inode that has the first block.
    marks: [Vec<u32>; 6],
    /// The number of nodes that are not inodes.
    others: u64,
}

impl Census {
    /// Counts `tree`.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] with everything that f2fs can't store.
    pub fn new(tree: &Tree, options: &Options) -> Result<Census, PlanError> {
        let mut problems = Vec::new();
        if let Err(problem) = label::encode(&options.label) {
            problems.push(problem);
        }
        let mut walk = Walk {
            tree,
            census: Census {
                items: Vec::with_capacity(tree.inodes().len()),
                numbers: vec![0; tree.inodes().len()],
                tables: Vec::new(),
                blocks: [0; 6],
                marks: Default::default(),
                others: 0,
            },
            problems,
            levels: Vec::new(),
        };
        walk.all();
        let census = walk.census;
        let problems = match census.all_blocks() > u64::from(u32::MAX) {
            // Places may be wrong.
            true if walk.problems.is_empty() => vec![format!(
                "files of {} blocks of 4 KiB; f2fs's limit is {} (16 TiB)",
                census.all_blocks(),
                u32::MAX
            )],
            _ => walk.problems,
        };
        match problems.is_empty() {
            true => Ok(census),
            false => Err(PlanError::Unrepresentable(problems)),
        }
    }

    /// Returns all inodes, the root first.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Returns the index of the inode with the number `ino`.
    pub fn item_of(&self, ino: u32) -> Option<&Item> {
        let at = ino.checked_sub(ROOT_INODE)?;
        self.items.get(index(u64::from(at)))
    }

    /// Returns the inode number of `id`, or 0 if it is not in any directory.
    pub fn number(&self, id: InodeId) -> u32 {
        self.numbers[id.index()]
    }

    /// Returns the number of inodes.
    pub fn inodes(&self) -> u64 {
        // usize to u64: lossless.
        self.items.len() as u64
    }

    /// Returns the number of all nodes.
    pub fn all_nodes(&self) -> u64 {
        self.inodes() + self.others
    }

    /// Returns the number of the first node that is not an inode.
    pub fn first_other(&self) -> u64 {
        u64::from(ROOT_INODE) + self.inodes()
    }

    /// Returns the number of blocks in `log`.
    pub fn blocks(&self, log: Log) -> u64 {
        self.blocks[log.index()]
    }

    /// Returns the number of blocks in all logs.
    pub fn all_blocks(&self) -> u64 {
        self.blocks.iter().sum()
    }

    /// Returns the index of the inode with the first block of a segment of `log`, if there is one.
    pub fn mark(&self, log: Log, segment: u64) -> Option<usize> {
        let mark = self.marks[log.index()].get(index(segment))?;
        Some(index(u64::from(*mark)))
    }

    /// Returns the table of the directory with the index `at`, or `None` if its entries are in its
    /// inode.
    pub fn table(&self, at: usize) -> Option<&Table> {
        let found = self
            .tables
            .binary_search_by_key(&at, |(item, _)| index(u64::from(*item)));
        found.ok().map(|found| &self.tables[found].1)
    }

    /// Returns the number of nodes besides itself of the inode with the index `at`.
    pub fn others_of(&self, at: usize) -> u64 {
        let before = u64::from(self.items[at].others);
        let next = self.items.get(at + 1);
        next.map_or(self.others, |next| u64::from(next.others)) - before
    }

    /// Returns the data blocks of the inode with the index `at`.
    pub fn runs(&self, tree: &Tree, at: usize) -> Vec<Run> {
        match &tree.inode(self.items[at].id).kind {
            Kind::Directory(_) => self
                .table(at)
                .map_or(Vec::new(), |table| table.runs.to_vec()),
            Kind::File(content) if content.size > INLINE_DATA => runs_of_file(content),
            Kind::Symlink(target) => runs_of_symlink(target),
            _ => Vec::new(),
        }
    }

    /// Returns the nodes besides itself of the inode with the index `at` and the data blocks `runs`.
    pub fn nodes(&self, tree: &Tree, at: usize, runs: &[Run]) -> Vec<Node> {
        match self.others_of(at) {
            0 => Vec::new(),
            _ => {
                let inode = tree.inode(self.items[at].id);
                nodes::nodes(runs, has_xattr_node(inode))
            }
        }
    }

    /// Returns the first name of the inode with the index `at`; nothing for the root.
    pub fn name<'a>(&self, tree: &'a Tree, at: usize) -> &'a [u8] {
        let item = &self.items[at];
        let parent = &self.items[index(u64::from(item.parent))];
        let directory = (at > 0).then(|| tree.directory(parent.id)).flatten();
        let entry = directory.and_then(|directory| directory.nth(index(u64::from(item.position))));
        entry.map_or(&[], |(name, _)| name)
    }
}

/// Returns the log of the nodes of an inode, except indirect nodes.
pub fn node_log(kind: &Kind) -> Log {
    match kind {
        Kind::Directory(_) => Log::HotNode,
        _ => Log::WarmNode,
    }
}

fn runs_of_symlink(target: &[u8]) -> Vec<Run> {
    // usize to u64: lossless.
    match target.len() as u64 > INLINE_DATA {
        true => nodes::runs(std::iter::once(0..1)),
        false => Vec::new(),
    }
}

fn has_xattr_node(inode: &Inode) -> bool {
    let xattrs = &inode.metadata.xattrs;
    !xattrs.is_empty() && xattr::stream(xattrs).is_ok_and(|stream| stream.len() > INLINE_XATTR)
}

/// A directory that is being walked.
struct Level<'a> {
    directory: &'a Directory,
    next: usize,
    /// Its index.
    item: usize,
}

struct Walk<'a> {
    tree: &'a Tree,
    census: Census,
    problems: Vec<String>,
    /// The directories from the root down. An explicit stack, because recursion in a deep tree
    /// could overflow the thread's stack.
    levels: Vec<Level<'a>>,
}

/// A number that is exact if the total, which is checked at the end, is within the limit.
fn saturated(value: impl TryInto<u32>) -> u32 {
    value.try_into().unwrap_or(u32::MAX)
}

impl<'a> Walk<'a> {
    fn all(&mut self) {
        self.inode(InodeId::ROOT, b"", 0, 0);
        while let Some(level) = self.levels.last_mut() {
            let position = level.next;
            let Some((name, id)) = level.directory.nth(position) else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            let parent = level.item;
            if name.len() > LONGEST_NAME {
                self.problem(format!(
                    "the name has {} bytes; f2fs's limit is {LONGEST_NAME}",
                    name.len()
                ));
            }
            self.entry(name, id, parent, position);
        }
    }

    fn entry(&mut self, name: &[u8], id: InodeId, parent: usize, position: usize) {
        let is_directory = self.tree.directory(id).is_some();
        let number = self.census.numbers[id.index()];
        if let Some(at) = number.checked_sub(ROOT_INODE) {
            match is_directory {
                true => self.problem("a hard link to a directory".to_owned()),
                false => {
                    let links = &mut self.census.items[index(u64::from(at))].links;
                    *links = links.saturating_add(1);
                }
            }
            return;
        }
        if is_directory {
            let links = &mut self.census.items[parent].links;
            *links = links.saturating_add(1);
        }
        self.inode(id, name, parent, position);
    }

    fn inode(&mut self, id: InodeId, name: &[u8], parent: usize, position: usize) {
        let tree = self.tree;
        let inode = tree.inode(id);
        let at = self.census.items.len();
        self.census.numbers[id.index()] = saturated(at).saturating_add(ROOT_INODE);
        self.metadata(inode);
        let mut links = 1;
        let mut temperature = Temperature::Warm;
        let mut runs = Vec::new();
        match &inode.kind {
            Kind::Directory(directory) => {
                links = 2;
                temperature = Temperature::Hot;
                runs = self.directory(at, directory);
                self.levels.push(Level {
                    directory,
                    next: 0,
                    item: at,
                });
            }
            Kind::File(content) => {
                temperature = temperature::of_file(name);
                runs = self.file(content);
            }
            Kind::Symlink(target) => runs = self.symlink(target),
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
        let nodes = nodes::nodes(&runs, has_xattr_node(inode));
        // usize to u64: lossless.
        let indirect = nodes
            .iter()
            .filter(|node| node.kind == nodes::Kind::Indirect)
            .count() as u64;
        let others = nodes.len() as u64;
        let data_log = Log::of_data(temperature);
        let item = Item {
            id,
            parent: saturated(parent),
            position: saturated(position),
            links,
            node: self.take(node_log(&inode.kind), 1 + others - indirect),
            indirect: self.take(Log::ColdNode, indirect),
            data: self.take(data_log, nodes::length(&runs)),
            others: saturated(self.census.others),
            data_log,
        };
        self.census.others += others;
        self.census.items.push(item);
    }

    /// Takes `count` blocks of `log` for the inode that is about to be added, and returns the first.
    fn take(&mut self, log: Log, count: u64) -> u32 {
        let census = &mut self.census;
        let item = saturated(census.items.len());
        let blocks = &mut census.blocks[log.index()];
        let first = *blocks;
        *blocks = blocks.saturating_add(count);
        // The total is checked at the end; until then, this must not take too much memory.
        let end = (*blocks).min(u64::from(u32::MAX));
        let marks = &mut census.marks[log.index()];
        let segments = index(end.div_ceil(SEGMENT));
        if segments > marks.len() {
            marks.resize(segments, item);
        }
        saturated(first)
    }

    fn directory(&mut self, at: usize, directory: &Directory) -> Vec<Run> {
        // The root of `mkfs.f2fs` has a block.
        if at > 0 && fits_inline(directory) {
            return Vec::new();
        }
        match Table::new(directory) {
            Ok(table) => {
                let runs = table.runs.to_vec();
                self.census.tables.push((saturated(at), table));
                runs
            }
            Err(error) => {
                self.problem(error.to_string());
                Vec::new()
            }
        }
    }

    fn symlink(&mut self, target: &[u8]) -> Vec<Run> {
        if target.is_empty() || target.contains(&0) {
            self.problem("the link target is empty or contains a NUL".to_owned());
        }
        if target.len() > LONGEST_SYMLINK {
            self.problem(format!(
                "the link target has {} bytes; Linux's limit is {LONGEST_SYMLINK}",
                target.len()
            ));
        }
        runs_of_symlink(target)
    }

    fn file(&mut self, content: &Content) -> Vec<Run> {
        if content.size > LONGEST_FILE * BLOCK_SIZE {
            self.problem(format!(
                "the file has {} bytes; f2fs's limit is {}",
                content.size,
                LONGEST_FILE * BLOCK_SIZE
            ));
            return Vec::new();
        }
        if let Err(problem) = check_ranges(content) {
            self.problem(problem);
            return Vec::new();
        }
        match content.size > INLINE_DATA {
            true => runs_of_file(content),
            false => Vec::new(),
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
        if let Err(error) = xattr::stream(&metadata.xattrs) {
            self.problem(error);
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
