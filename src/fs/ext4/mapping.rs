//! How many blocks it takes to map the blocks of an inode: those of its extent tree or block map.

use std::ops::Range;

use super::features::Features;
use super::{block_map, extent};

/// Counts the blocks that map the blocks of an inode, besides the part in the inode.
pub enum Counter {
    /// The number of extents so far.
    Extents(u64),
    /// The blocks of the block map.
    Map(block_map::Counter),
}

impl Counter {
    /// Makes a counter for an inode that has no blocks yet.
    pub fn new(features: &Features) -> Counter {
        match features.extents() {
            true => Counter::Extents(0),
            false => Counter::Map(block_map::Counter::default()),
        }
    }

    /// Adds the blocks `range` of the inode, which are adjacent in the file system. They must come
    /// after those added before.
    pub fn add(&mut self, range: Range<u64>) {
        match self {
            Counter::Extents(extents) => *extents += extent::count(range.end - range.start),
            Counter::Map(map) => map.add(range),
        }
    }

    /// Returns the number of blocks.
    pub fn blocks(&self) -> u64 {
        match self {
            Counter::Extents(extents) => extent::tree_blocks(*extents),
            Counter::Map(map) => map.blocks(),
        }
    }
}

/// Returns the number of blocks that map the first `length` blocks of an inode if they are adjacent.
pub fn blocks(features: &Features, length: u64) -> u64 {
    let mut counter = Counter::new(features);
    counter.add(0..length);
    counter.blocks()
}
