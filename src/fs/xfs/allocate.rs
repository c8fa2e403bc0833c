//! Allocation of all blocks: first chunks of inodes, then directories, link targets and attributes
//! together, then the data of files, each in the order of slots.
//!
//! Blocks are allocated from the lowest up, group by group. In each group, as many blocks stay free as
//! Linux reserves.

use super::attribute::Attributes;
use super::btree;
use super::census::{Census, forks};
use super::directory::{FREE_START, LEAF_START};
use super::extent::{self, Extent};
use super::geometry::{CHUNK_BLOCKS, Geometry};
use super::layout::{Group, Layout, Part, Run};
use super::ondisk::BLOCK_SIZE;
use super::rmap::{self, Merged};
use crate::fs::DataExtent;
use crate::fs::content::data_blocks;
use crate::fs::number::{TooWide, index};
use crate::tree::{Kind, Tree};

/// There is not enough room: at least this many blocks are missing.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(pub u64);

/// Lays the tree out in a file system with the sizes `geometry`. The trees of reverse mappings have no
/// more than their roots until [`size_rmap_trees`] is called, which does not change what is available.
///
/// # Errors
/// If there is not enough room.
pub fn lay_out(tree: &Tree, census: &Census, geometry: &Geometry) -> Result<Layout, Missing> {
    let capacity: u64 = (0..geometry.groups)
        .map(|group| geometry.capacity(group))
        .sum();
    let least = census.least_blocks();
    if least > capacity {
        return Err(Missing(least - capacity));
    }
    let (groups, last) = place_inodes(census, geometry)?;
    let mut allocator = Allocator {
        geometry,
        group: last,
        next: groups[index(last)].end,
        groups,
        beyond: 0,
    };
    let holders = allocator.holders(tree, census);
    let (data, trees) = allocator.files(tree, census);
    if allocator.beyond > 0 {
        return Err(at_least(allocator.beyond, last));
    }
    allocator.close();
    Ok(Layout {
        geometry: geometry.clone(),
        groups: allocator.groups,
        holders,
        data,
        trees,
    })
}

/// Computes the sizes of the reverse mapping trees, which follow everything else in their groups.
///
/// # Errors
/// If a number is too large for its field.
pub fn size_rmap_trees(layout: &mut Layout) -> Result<(), TooWide> {
    (0..layout.geometry.groups).try_for_each(|number| size_rmap_tree(layout, number))
}

/// Distributes the chunks of inodes over the groups. Returns all groups, and the number of the last
/// one that has a chunk.
fn place_inodes(census: &Census, geometry: &Geometry) -> Result<(Vec<Group>, u64), Missing> {
    let mut rest = census.chunks();
    let mut last = 0;
    let mut first_chunk = 0;
    let mut groups = Vec::with_capacity(index(geometry.groups));
    for number in 0..geometry.groups {
        let first_free = geometry.first_free(number);
        let limit = first_free + geometry.capacity(number);
        // Linux and xfs_repair expect the root directory in the first possible chunk
        // (`xfs_ialloc_calc_rootino`).
        let inodes = first_free.next_multiple_of(CHUNK_BLOCKS);
        let mut chunks = rest.min(limit.saturating_sub(inodes) / CHUNK_BLOCKS);
        while chunks > 0 && inodes + chunks * CHUNK_BLOCKS + inode_tree(chunks) > limit {
            chunks -= 1;
        }
        if chunks > 0 {
            last = number;
        }
        groups.push(Group {
            first_chunk,
            chunks,
            inodes,
            end: match chunks {
                0 => first_free,
                _ => inodes + chunks * CHUNK_BLOCKS,
            },
            inode_tree: inode_tree(chunks),
            rmap_tree: 0,
        });
        rest -= chunks;
        first_chunk += chunks;
    }
    match rest {
        0 => Ok((groups, last)),
        _ => Err(at_least(rest * CHUNK_BLOCKS, geometry.groups)),
    }
}

/// Returns how many blocks are missing at least if `missing` blocks did not fit, and `groups` groups are
/// full of inodes. In each of these, up to 7 blocks are too few for a chunk. A larger file system may
/// add to them.
fn at_least(missing: u64, groups: u64) -> Missing {
    Missing(missing.saturating_sub(groups * CHUNK_BLOCKS).max(1))
}

/// Returns the number of blocks of the B+tree of chunks, without its root.
fn inode_tree(chunks: u64) -> u64 {
    btree::INODES.levels(chunks).iter().sum::<u64>() - 1
}

/// Computes the size of the reverse mapping tree, whose own blocks may need another record.
fn size_rmap_tree(layout: &mut Layout, number: u64) -> Result<(), TooWide> {
    loop {
        let mut merged = Merged::default();
        layout.mappings(number, &mut merged)?;
        let blocks = rmap::TREE.levels(merged.count).iter().sum::<u64>() - 1;
        let group = &mut layout.groups[index(number)];
        if group.rmap_tree >= blocks {
            return Ok(());
        }
        group.rmap_tree = blocks;
    }
}

/// Hands out free blocks from the lowest up.
struct Allocator<'a> {
    geometry: &'a Geometry,
    groups: Vec<Group>,
    /// The current group, and the next free block in it.
    group: u64,
    next: u64,
    /// Number of blocks handed out that do not exist.
    beyond: u64,
}

impl Allocator<'_> {
    /// Takes up to `most` adjacent blocks. Returns the first one and their number.
    fn take(&mut self, most: u64) -> (u64, u64) {
        while self.group < self.geometry.groups {
            let group = &self.groups[index(self.group)];
            let limit = self.geometry.first_free(self.group) + self.geometry.capacity(self.group);
            let room = limit.saturating_sub(group.inode_tree + self.next);
            if room > 0 {
                let length = most.min(room);
                let block = self.group * self.geometry.group_blocks + self.next;
                self.next += length;
                return (block, length);
            }
            self.close();
            self.group += 1;
            self.next = match self.group < self.geometry.groups {
                true => self.geometry.first_free(self.group),
                false => 0,
            };
        }
        self.beyond += most;
        (self.geometry.blocks, most)
    }

    /// Records the end of the current group.
    fn close(&mut self) {
        if let Some(group) = self.groups.get_mut(index(self.group)) {
            group.end = self.next;
        }
    }

    /// Takes `length` blocks for the blocks of an inode that begin at `logical`.
    fn take_all(&mut self, logical: u64, length: u64, mut found: impl FnMut(Extent)) {
        let mut at = 0;
        while at < length {
            let (block, taken) = self.take((length - at).min(extent::LONGEST));
            found(Extent {
                logical: logical + at,
                block,
                length: taken,
            });
            at += taken;
        }
    }

    fn holders(&mut self, tree: &Tree, census: &Census) -> Vec<Run> {
        let mut runs = Vec::with_capacity(census.holders.len());
        for holder in &census.holders {
            let slot = holder.slot;
            let mut extents = 0u64;
            for (part, logical, length) in [
                (Part::Attributes, 0, holder.attributes),
                (Part::Data, 0, holder.data),
                (Part::Data, LEAF_START, holder.leaf),
                (Part::Data, FREE_START, holder.free),
            ] {
                self.take_all(logical, u64::from(length), |extent| {
                    extents += u64::from(part == Part::Data);
                    runs.push(Run { slot, part, extent });
                });
            }
            if extents > 0 {
                let blocks = extent::tree_blocks(extents, data_space(tree, census, slot));
                self.take_all(0, blocks, |extent| {
                    runs.push(Run {
                        slot,
                        part: Part::Tree,
                        extent,
                    });
                });
            }
        }
        runs
    }

    fn files(&mut self, tree: &Tree, census: &Census) -> (Vec<DataExtent>, Vec<Run>) {
        let mut data = Vec::with_capacity(census.ranges);
        let mut trees = Vec::new();
        for (slot, id) in census.ids() {
            let Kind::File(content) = &tree.inode(id).kind else {
                continue;
            };
            let before = data.len();
            for blocks in data_blocks(content) {
                self.take_all(blocks.start, blocks.end - blocks.start, |extent| {
                    let file_offset = extent.logical * BLOCK_SIZE;
                    data.push(DataExtent {
                        file: slot,
                        file_offset,
                        offset: extent.block * BLOCK_SIZE,
                        length: (extent.length * BLOCK_SIZE).min(content.size - file_offset),
                    });
                });
            }
            // usize to u64: lossless.
            let extents = (data.len() - before) as u64;
            if extents <= 1 {
                continue;
            }
            let blocks = extent::tree_blocks(extents, data_space(tree, census, slot));
            self.take_all(0, blocks, |extent| {
                trees.push(Run {
                    slot,
                    part: Part::Tree,
                    extent,
                });
            });
        }
        (data, trees)
    }
}

/// Returns the number of bytes for extents in the inode in `slot`, which has some.
fn data_space(tree: &Tree, census: &Census, slot: u32) -> usize {
    let Some(inode) = census.id(slot).map(|id| tree.inode(id)) else {
        return 0;
    };
    // The census has reported an error.
    let attributes = Attributes::new(&inode.metadata.xattrs).unwrap_or_default();
    let shape = match &inode.kind {
        Kind::Directory(directory) => super::directory::Shape::new(directory),
        _ => None,
    };
    forks(inode, &attributes, shape.as_ref()).data
}
