//! Allocation of all blocks: first the file system's own, then directories, link targets and
//! attributes together, then the data of files, each in the order of inode numbers.
//!
//! Blocks are allocated from the lowest up, so that everything below the last one is in use and no
//! map of free blocks is needed.

use std::iter;
use std::ops::Range;

use super::census::{Census, Data};
use super::extent::Extent;
use super::features::Features;
use super::geometry::Geometry;
use super::mapping::Counter;
use super::ondisk::BLOCK_SIZE;
use super::tables::{self, GroupTables};
use super::used::Used;
use super::{JOURNAL_INODE, journal};
use crate::fs::DataExtent;
use crate::fs::content::data_blocks;
use crate::fs::number::index;
use crate::tree::Tree;

/// The layout of a file system.
pub struct Layout {
    /// The sizes.
    pub geometry: Geometry,
    /// Bitmaps and inode tables of each group.
    pub tables: Vec<GroupTables>,
    /// Blocks that the file system uses itself, including the journal and the resize inode.
    pub fixed: Used,
    /// The double indirect block of the resize inode, if there is one.
    pub resize_block: Option<u64>,
    /// The blocks of the journal.
    pub journal: Vec<Extent>,
    /// The place of the blocks of each of [`Census::holders`].
    pub places: Vec<Place>,
    /// Blocks of directories and link targets; [`Place::first_extent`] assigns them to holders.
    pub extents: Vec<Extent>,
    /// Data of files. A file's number is that of its inode.
    pub data: Vec<DataExtent>,
    /// Extent trees and block maps that don't fit in their inodes, in the order of inode numbers.
    pub maps: Vec<MapBlocks>,
    /// Every block before this one is in use.
    pub end: u64,
    /// Number of free blocks.
    pub free: u64,
}

/// The place of a holder's blocks.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The holder's block of extended attributes, or 0.
    pub xattr_block: u64,
    /// Its first extent among [`Layout::extents`]. The extents of the next holder follow its own.
    pub first_extent: usize,
}

/// The blocks of an inode's extent tree or block map.
#[derive(Debug)]
pub struct MapBlocks {
    /// The number of the inode.
    pub number: u32,
    /// The numbers of the blocks.
    pub places: Vec<u64>,
}

impl Layout {
    /// Returns the extents of the holder at index `at`.
    pub fn extents_of(&self, at: usize) -> &[Extent] {
        let end = self.places.get(at + 1).map(|place| place.first_extent);
        &self.extents[self.places[at].first_extent..end.unwrap_or(self.extents.len())]
    }

    /// Returns the blocks of the extent tree or block map of the inode `number`.
    pub fn map_of(&self, number: u32) -> &[u64] {
        let maps = &self.maps;
        match maps.binary_search_by_key(&number, |map| map.number) {
            Ok(at) => &maps[at].places,
            Err(_) => &[],
        }
    }
}

/// Lays the tree out in a file system of `blocks` blocks. Returns `None` if there is not enough
/// room.
pub fn lay_out(tree: &Tree, census: &Census, blocks: u64) -> Option<Layout> {
    let mut data = Vec::with_capacity(census.ranges);
    let layout = lay_out_data(tree, census, blocks, |extent| data.push(extent))?;
    Some(Layout { data, ..layout })
}

/// Returns the layout of [`lay_out`] without the data of files, which takes memory for every file.
pub fn outline(tree: &Tree, census: &Census, blocks: u64) -> Option<Layout> {
    lay_out_data(tree, census, blocks, |_| ())
}

/// Like [`lay_out`], but passes the data of files to `found`.
fn lay_out_data(
    tree: &Tree,
    census: &Census,
    blocks: u64,
    found: impl FnMut(DataExtent),
) -> Option<Layout> {
    let geometry = Geometry::for_tree(census.features, blocks, census.inodes(), census.blocks)?;
    if geometry.own_blocks() + census.blocks > geometry.blocks {
        return None;
    }
    let (tables, mut fixed) = tables::allocate(&geometry)?;
    let resize_block = match geometry.resize_inode {
        true => Some(take_resize_block(&geometry, &mut fixed)?),
        false => None,
    };
    let journal = take_journal(&geometry, &mut fixed)?;
    let mut allocator = Allocator {
        free: Free::new(&fixed, geometry.blocks),
        extents: Vec::new(),
        maps: Vec::new(),
        features: census.features,
    };
    let mut map = Counter::new(census.features);
    for extent in &journal {
        map.add(extent.logical..extent.logical + extent.length);
    }
    allocator.map(JOURNAL_INODE, &map)?;
    let places = allocator.holders(census)?;
    allocator.files(tree, census, found)?;
    let end = allocator.free.gap.start;
    let extents = allocator.extents;
    let mut maps = allocator.maps;
    maps.sort_unstable_by_key(|map| map.number);
    let taken = fixed.count(end..geometry.blocks);
    Some(Layout {
        free: geometry.blocks - end - taken,
        geometry,
        tables,
        fixed,
        resize_block,
        journal,
        places,
        extents,
        data: Vec::new(),
        maps,
        end,
    })
}

/// Allocates the block of the resize inode: after the first group's inode table if there is room.
fn take_resize_block(geometry: &Geometry, used: &mut Used) -> Option<u64> {
    let goal = geometry.superblock_blocks(0) + 2 + geometry.inode_table_blocks - 1;
    let found = used
        .gap(goal, geometry.blocks)
        .or_else(|| used.gap(0, geometry.blocks))?
        .start;
    used.mark(found..found + 1);
    Some(found)
}

/// Allocates the journal: in one piece after its goal, else in one piece anywhere, else in several
/// pieces.
fn take_journal(geometry: &Geometry, used: &mut Used) -> Option<Vec<Extent>> {
    let length = geometry.journal_blocks;
    if length == 0 {
        return Some(Vec::new());
    }
    let limit = geometry.blocks;
    let goal = journal::goal(geometry, used);
    let whole = used
        .find(goal, limit, length, limit)
        .or_else(|| used.find(0, limit, length, limit));
    let mut extents = Vec::new();
    if let Some(start) = whole {
        extents.push(Extent {
            logical: 0,
            physical: start,
            length,
        });
    } else {
        let mut free = Free::new(used, limit);
        free.take_all(0, length, |extent| extents.push(extent))?;
    }
    for extent in &extents {
        used.mark(extent.blocks());
    }
    Some(extents)
}

/// Hands out free blocks from the lowest up.
struct Free<'a> {
    used: &'a Used,
    /// The blocks to hand out next; the first one is free unless there is none.
    gap: Range<u64>,
    limit: u64,
}

impl<'a> Free<'a> {
    /// All blocks before `limit` that are not in `used`.
    fn new(used: &'a Used, limit: u64) -> Free<'a> {
        Free {
            used,
            gap: 0..0,
            limit,
        }
    }

    /// Takes up to `most` adjacent blocks. Returns the first one and their number.
    fn take(&mut self, most: u64) -> Option<(u64, u64)> {
        if self.gap.is_empty() {
            self.gap = self.used.gap(self.gap.end, self.limit)?;
        }
        let start = self.gap.start;
        let length = most.min(self.gap.end - start);
        self.gap.start += length;
        Some((start, length))
    }

    /// Takes `length` blocks for the blocks of a file that begin at `logical`.
    fn take_all(&mut self, logical: u64, length: u64, mut found: impl FnMut(Extent)) -> Option<()> {
        let mut at = 0;
        while at < length {
            let (physical, taken) = self.take(length - at)?;
            found(Extent {
                logical: logical + at,
                physical,
                length: taken,
            });
            at += taken;
        }
        Some(())
    }
}

struct Allocator<'a> {
    free: Free<'a>,
    extents: Vec<Extent>,
    maps: Vec<MapBlocks>,
    features: &'static Features,
}

impl Allocator<'_> {
    fn holders(&mut self, census: &Census) -> Option<Vec<Place>> {
        let mut places = Vec::with_capacity(census.holders().len());
        self.extents.reserve(census.holders().len());
        for holder in census.holders() {
            let xattr_block = match holder.xattr_block {
                true => self.free.take(1)?.0,
                false => 0,
            };
            let first_extent = self.extents.len();
            let mut map = Counter::new(self.features);
            self.free.take_all(0, holder.blocks, |extent| {
                map.add(extent.logical..extent.logical + extent.length);
                self.extents.push(extent);
            })?;
            self.map(holder.number, &map)?;
            places.push(Place {
                xattr_block,
                first_extent,
            });
        }
        Some(places)
    }

    fn files(
        &mut self,
        tree: &Tree,
        census: &Census,
        mut found: impl FnMut(DataExtent),
    ) -> Option<()> {
        for (file, data) in census.data(tree) {
            match data {
                Data::Whole(size) => {
                    let blocks = iter::once(0..size.div_ceil(BLOCK_SIZE));
                    self.file(file, size, blocks, &mut found)?;
                }
                Data::Parts(content) => {
                    self.file(file, content.size, data_blocks(content), &mut found)?;
                }
            }
        }
        Some(())
    }

    /// Allocates the blocks `data` of the inode `file`, a file of `size` bytes.
    fn file(
        &mut self,
        file: u32,
        size: u64,
        data: impl Iterator<Item = Range<u64>>,
        found: &mut impl FnMut(DataExtent),
    ) -> Option<()> {
        let mut map = Counter::new(self.features);
        for blocks in data {
            let length = blocks.end - blocks.start;
            self.free.take_all(blocks.start, length, |extent| {
                map.add(extent.logical..extent.logical + extent.length);
                let file_offset = extent.logical * BLOCK_SIZE;
                found(DataExtent {
                    file,
                    file_offset,
                    offset: extent.physical * BLOCK_SIZE,
                    length: (extent.length * BLOCK_SIZE).min(size - file_offset),
                });
            })?;
        }
        self.map(file, &map)
    }

    /// Allocates the blocks that map those of the inode `number`, as many as `map` has counted.
    fn map(&mut self, number: u32, map: &Counter) -> Option<()> {
        let blocks = map.blocks();
        if blocks > 0 {
            let mut places = Vec::with_capacity(index(blocks));
            self.free
                .take_all(0, blocks, |extent| places.extend(extent.blocks()))?;
            self.maps.push(MapBlocks { number, places });
        }
        Some(())
    }
}
