//! Where everything is in a file system.

use super::btree;
use super::census::CHUNK;
use super::extent::Extent;
use super::geometry::{CHUNK_BLOCKS, Geometry};
use super::ondisk::{BLOCK_SIZE, RmapRecord};
use super::rmap::{Mapping, Merged};
use crate::fs::DataExtent;
use crate::fs::number::TooWide;

/// Inodes in a block.
const INODES: u64 = CHUNK / CHUNK_BLOCKS;

/// The layout of a file system.
pub struct Layout {
    /// The sizes.
    pub geometry: Geometry,
    /// Each allocation group.
    pub groups: Vec<Group>,
    /// Blocks of directories, link targets and attributes, and the trees of their extents, in
    /// order.
    pub holders: Vec<Run>,
    /// Data of files. A file's number is its slot.
    pub data: Vec<DataExtent>,
    /// Trees of the extents of files, in order.
    pub trees: Vec<Run>,
}

/// An allocation group. Its blocks are in use up to a certain one, except some before its inodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The number of the first of its chunks of inodes, which follow each other.
    pub first_chunk: u64,
    /// The number of its chunks.
    pub chunks: u64,
    /// The block where they begin.
    pub inodes: u64,
    /// The block after inodes and data: that of B+trees with more than one block.
    pub end: u64,
    /// Blocks of the inode B+tree after `end`.
    pub inode_tree: u64,
    /// Blocks of the reverse mapping B+tree after these.
    pub rmap_tree: u64,
}

impl Group {
    /// Returns the first block of the range of free blocks at the end of the group.
    pub fn free(&self) -> u64 {
        self.end + self.inode_tree + self.rmap_tree
    }
}

/// The part of an inode to which blocks belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Data,
    Attributes,
    /// The tree of the extents of data.
    Tree,
}

/// Adjacent blocks of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The slot of the inode.
    pub slot: u32,
    pub part: Part,
    pub extent: Extent,
}

impl Layout {
    /// Returns the number of the inode in `slot`.
    pub fn number(&self, slot: u32) -> u64 {
        let chunk = u64::from(slot) / CHUNK;
        let after = self
            .groups
            .partition_point(|group| group.first_chunk <= chunk);
        let number = after.saturating_sub(1);
        let group = &self.groups[number];
        let block = group.inodes + (chunk - group.first_chunk) * CHUNK_BLOCKS;
        let within = block * INODES + u64::from(slot) % CHUNK;
        // usize to u64: lossless.
        (number as u64) << (self.geometry.group_log() + INODES.trailing_zeros()) | within
    }

    /// Returns the blocks of the holder in `slot` that belong to `part`.
    pub fn holder(&self, slot: u32, part: Part) -> impl Iterator<Item = Extent> + Clone {
        select(&self.holders, slot, part)
    }

    /// Returns the blocks of the tree of a file's extents.
    pub fn tree(&self, slot: u32) -> impl Iterator<Item = Extent> + Clone {
        select(&self.trees, slot, Part::Tree)
    }

    /// Returns the extents of a file.
    pub fn file(&self, slot: u32) -> impl Iterator<Item = Extent> + Clone {
        let data = &self.data[self.data.partition_point(|data| data.file < slot)..];
        data.iter()
            .take_while(move |data| data.file == slot)
            .map(Extent::from)
    }

    /// Returns the number of free blocks, as the superblock has it: including those kept for B+trees
    /// and those of the reverse mapping trees, except their roots.
    pub fn free_blocks(&self) -> u64 {
        let free = (0..).zip(&self.groups).map(|(number, group)| {
            let gap = match group.chunks {
                0 => 0,
                _ => group.inodes - self.geometry.first_free(number),
            };
            let at_end = self.geometry.length(number) - group.free();
            gap + at_end + super::geometry::FREE_LIST + group.rmap_tree
        });
        free.sum()
    }

    /// Passes the owners of all blocks in `group` to `merged`.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn mappings(&self, number: u64, merged: &mut Merged) -> Result<(), TooWide> {
        let geometry = &self.geometry;
        let Some(group) = self.groups.get(crate::fs::number::index(number)) else {
            return Ok(());
        };
        let log = geometry.log_in(number);
        let free_list = geometry.free_list(number);
        for (start, length, owner) in [
            (0, 1, RmapRecord::OWN_FS),
            (btree::BY_BLOCK_ROOT, 2, RmapRecord::OWN_AG),
            (btree::INODES_ROOT, 2, RmapRecord::OWN_INOBT),
            (btree::RMAP_ROOT, 1, RmapRecord::OWN_AG),
            (btree::REFERENCE_COUNTS_ROOT, 1, RmapRecord::OWN_REFC),
            (free_list - log, log, RmapRecord::OWN_LOG),
            (free_list, super::geometry::FREE_LIST, RmapRecord::OWN_AG),
            (
                group.inodes,
                group.chunks * CHUNK_BLOCKS,
                RmapRecord::OWN_INODES,
            ),
        ] {
            merged.add(Mapping::own(start, length, owner))?;
        }
        let first = number * geometry.group_blocks;
        let range = first..first + geometry.length(number);
        let runs = |runs: &'_ [Run]| -> std::ops::Range<usize> {
            runs.partition_point(|run| run.extent.block < range.start)
                ..runs.partition_point(|run| run.extent.block < range.end)
        };
        let data = self
            .data
            .partition_point(|data| data.offset / BLOCK_SIZE < range.start)
            ..self
                .data
                .partition_point(|data| data.offset / BLOCK_SIZE < range.end);
        for run in &self.holders[runs(&self.holders)] {
            merged.add(self.mapping(run, first))?;
        }
        let mut trees = self.trees[runs(&self.trees)].iter().peekable();
        for data in &self.data[data] {
            let run = Run {
                slot: data.file,
                part: Part::Data,
                extent: Extent::from(data),
            };
            while let Some(tree) = trees.next_if(|tree| tree.extent.block < run.extent.block) {
                merged.add(self.mapping(tree, first))?;
            }
            merged.add(self.mapping(&run, first))?;
        }
        for tree in trees {
            merged.add(self.mapping(tree, first))?;
        }
        merged.add(Mapping::own(
            group.end,
            group.inode_tree,
            RmapRecord::OWN_INOBT,
        ))?;
        let start = group.end + group.inode_tree;
        merged.add(Mapping::own(start, group.rmap_tree, RmapRecord::OWN_AG))
    }

    fn mapping(&self, run: &Run, first: u64) -> Mapping {
        let Extent {
            logical,
            block,
            length,
        } = run.extent;
        Mapping {
            start: block - first,
            length,
            owner: self.number(run.slot),
            offset: match run.part {
                Part::Data => logical,
                Part::Attributes => logical | RmapRecord::ATTR_FORK,
                Part::Tree => RmapRecord::BMBT_BLOCK,
            },
        }
    }
}

fn select(runs: &[Run], slot: u32, part: Part) -> impl Iterator<Item = Extent> + Clone {
    let runs = &runs[runs.partition_point(|run| run.slot < slot)..];
    let own = runs.iter().take_while(move |run| run.slot == slot);
    own.filter(move |run| run.part == part)
        .map(|run| run.extent)
}
