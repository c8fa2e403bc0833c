//! A place for every block: the file system's own first, then directories, link targets and
//! attributes together, then the data of files, each in the order of inode numbers.
//!
//! Blocks are handed out from the lowest on, so that everything below the last one is in use and
//! no map of what is free has to be kept.

use super::bytes::index;
use super::census::{Census, data_blocks};
use super::extent::{Run, nodes};
use super::geometry::Geometry;
use super::tables::{self, GroupTables};
use super::used::Used;
use super::{BLOCK, JOURNAL_INODE, journal};
use crate::fs::DataExtent;
use crate::tree::{Kind, Tree};

/// Where everything is.
pub struct Layout {
    /// The sizes.
    pub geometry: Geometry,
    /// Bitmaps and inode tables by group.
    pub tables: Vec<GroupTables>,
    /// What the file system takes itself, the journal and the resize inode included.
    pub fixed: Used,
    /// The double indirect block of the resize inode, where there is one.
    pub resize_block: Option<u64>,
    /// The blocks of the journal.
    pub journal: Vec<Run>,
    /// For each of [`Census::holders`], where its blocks are.
    pub places: Vec<Place>,
    /// Blocks of directories and link targets; [`Place::runs`] says whose.
    pub runs: Vec<Run>,
    /// Data of files, whose numbers are those of their inodes.
    pub data: Vec<DataExtent>,
    /// Nodes of extent trees, by number of the inode.
    pub nodes: Vec<Nodes>,
    /// Every block before this one is in use.
    pub end: u64,
    /// Free blocks.
    pub free: u64,
}

/// Where the blocks of a holder are.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its block of extended attributes, or 0.
    pub xattr_block: u64,
    /// Its first run among [`Layout::runs`]; the next holder's come behind its own.
    pub first_run: usize,
}

/// The nodes of an inode's extent tree.
#[derive(Debug)]
pub struct Nodes {
    /// The inode.
    pub number: u32,
    /// Their blocks.
    pub places: Vec<u64>,
}

impl Layout {
    /// The runs of the holder at `at`.
    pub fn runs_of(&self, at: usize) -> &[Run] {
        let end = self.places.get(at + 1).map(|place| place.first_run);
        &self.runs[self.places[at].first_run..end.unwrap_or(self.runs.len())]
    }

    /// The blocks of the extent tree of the inode `number`.
    pub fn nodes_of(&self, number: u32) -> &[u64] {
        match self
            .nodes
            .binary_search_by_key(&number, |nodes| nodes.number)
        {
            Ok(at) => &self.nodes[at].places,
            Err(_) => &[],
        }
    }
}

/// Lays the tree out in a file system of `blocks` blocks; `None` where there is no room.
pub fn lay_out(tree: &Tree, census: &Census, blocks: u64) -> Option<Layout> {
    let geometry = Geometry::for_tree(blocks, census.inodes(), census.blocks)?;
    if geometry.overhead() + census.blocks > geometry.blocks {
        return None;
    }
    let (tables, mut fixed) = tables::allocate(&geometry)?;
    let resize_block = match geometry.resize_inode {
        true => Some(take_one(&geometry, &mut fixed)?),
        false => None,
    };
    let journal = take_journal(&geometry, &mut fixed)?;
    let mut allocator = Allocator {
        free: Free {
            used: &fixed,
            next: 0,
            limit: geometry.blocks,
        },
        runs: Vec::new(),
        data: Vec::with_capacity(census.ranges),
        nodes: Vec::new(),
    };
    allocator.nodes(JOURNAL_INODE, journal.iter().map(Run::extents).sum())?;
    let places = allocator.holders(census)?;
    allocator.files(tree, census)?;
    let end = allocator.free.next;
    let (runs, data, mut nodes) = (allocator.runs, allocator.data, allocator.nodes);
    nodes.sort_unstable_by_key(|nodes| nodes.number);
    let taken = fixed.count(end..geometry.blocks);
    Some(Layout {
        free: geometry.blocks - end - taken,
        geometry,
        tables,
        fixed,
        resize_block,
        journal,
        places,
        runs,
        data,
        nodes,
        end,
    })
}

/// The block of the resize inode: after the first group's inode table where there is room.
fn take_one(geometry: &Geometry, used: &mut Used) -> Option<u64> {
    let goal = geometry.superblock_blocks(0) + 2 + geometry.inode_table_blocks - 1;
    let found = used
        .gap(goal, geometry.blocks)
        .or_else(|| used.gap(0, geometry.blocks))?
        .start;
    used.mark(found..found + 1);
    Some(found)
}

/// The journal in one piece from its goal on, else from the beginning on; in pieces if it must be.
fn take_journal(geometry: &Geometry, used: &mut Used) -> Option<Vec<Run>> {
    let length = geometry.journal_blocks;
    if length == 0 {
        return Some(Vec::new());
    }
    let limit = geometry.blocks;
    let goal = journal::goal(geometry, used);
    let whole = used
        .find(goal, limit, length, limit)
        .or_else(|| used.find(0, limit, length, limit));
    let mut runs = Vec::new();
    if let Some(start) = whole {
        runs.push(Run {
            logical: 0,
            start,
            length,
        });
    } else {
        let mut free = Free {
            used,
            next: 0,
            limit,
        };
        free.take_all(0, length, |run| runs.push(run))?;
    }
    for run in &runs {
        used.mark(run.start..run.start + run.length);
    }
    Some(runs)
}

/// Free blocks, from the lowest on.
struct Free<'a> {
    used: &'a Used,
    next: u64,
    limit: u64,
}

impl Free<'_> {
    /// Up to `most` blocks next to each other: the first one and how many.
    fn take(&mut self, most: u64) -> Option<(u64, u64)> {
        let gap = self.used.gap(self.next, self.limit)?;
        let length = most.min(gap.end - gap.start);
        self.next = gap.start + length;
        Some((gap.start, length))
    }

    /// `length` blocks for those of a file from `logical` on.
    fn take_all(&mut self, logical: u64, length: u64, mut found: impl FnMut(Run)) -> Option<()> {
        let mut at = 0;
        while at < length {
            let (start, taken) = self.take(length - at)?;
            found(Run {
                logical: logical + at,
                start,
                length: taken,
            });
            at += taken;
        }
        Some(())
    }
}

struct Allocator<'a> {
    free: Free<'a>,
    runs: Vec<Run>,
    data: Vec<DataExtent>,
    nodes: Vec<Nodes>,
}

impl Allocator<'_> {
    fn holders(&mut self, census: &Census) -> Option<Vec<Place>> {
        let mut places = Vec::with_capacity(census.holders().len());
        self.runs.reserve(census.holders().len());
        for holder in census.holders() {
            let xattr_block = match holder.xattr_block {
                true => self.free.take(1)?.0,
                false => 0,
            };
            let first_run = self.runs.len();
            let mut extents = 0;
            self.free.take_all(0, holder.blocks, |run| {
                extents += run.extents();
                self.runs.push(run);
            })?;
            self.nodes(holder.number, extents)?;
            places.push(Place {
                xattr_block,
                first_run,
            });
        }
        Some(places)
    }

    fn files(&mut self, tree: &Tree, census: &Census) -> Option<()> {
        for &inode in census.ids() {
            let Kind::File(content) = &tree.inode(inode).kind else {
                continue;
            };
            let file = census.number(inode);
            let mut extents = 0;
            for blocks in data_blocks(content) {
                let length = blocks.end - blocks.start;
                self.free.take_all(blocks.start, length, |run| {
                    extents += run.extents();
                    let file_offset = run.logical * BLOCK;
                    self.data.push(DataExtent {
                        file,
                        file_offset,
                        offset: run.start * BLOCK,
                        length: (run.length * BLOCK).min(content.size - file_offset),
                    });
                })?;
            }
            self.nodes(file, extents)?;
        }
        Some(())
    }

    fn nodes(&mut self, number: u32, extents: u64) -> Option<()> {
        let count = nodes(extents);
        if count > 0 {
            let mut places = Vec::with_capacity(index(count));
            self.free.take_all(0, count, |run| {
                places.extend(run.start..run.start + run.length);
            })?;
            self.nodes.push(Nodes { number, places });
        }
        Some(())
    }
}
