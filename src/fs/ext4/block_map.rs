//! Block maps: the number of every block of a file (kernel,
//! Documentation/filesystems/ext4/blockmap.rst). The inode has those of the first twelve blocks,
//! and three more, of an indirect, a double indirect and a triple indirect block.

use std::ops::Range;

use anyhow::{Context, Result};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::extent::Extent;
use super::ondisk::{Block, IBlock};
use crate::fs::number::{index, le32};

/// A block of block numbers.
pub type Addresses = [U32; 1024];

const _: () = assert!(size_of::<Addresses>() == size_of::<Block>());

/// Block numbers per block.
pub const PER_BLOCK: u64 = 1024;

/// Blocks whose numbers are in the inode: `EXT4_NDIR_BLOCKS`.
const DIRECT: u64 = 12;

/// Indices in `i_block`: `EXT4_IND_BLOCK`, `EXT4_DIND_BLOCK` and `EXT4_TIND_BLOCK`.
const INDIRECT: usize = 12;
pub const DOUBLE_INDIRECT: usize = 13;
const TRIPLE_INDIRECT: usize = 14;

/// Blocks of the longest file, holes included (`ext4_max_bitmap_size` in fs/ext4/super.c). Its
/// blocks, those of its map, and one of attributes are fewer than 2^29, so that a 32-bit number of
/// units of 512 bytes is sufficient.
pub const MOST_BLOCKS: u64 = 536_346_110;

/// Counts the blocks of a map.
#[derive(Debug, Default)]
pub struct Counter {
    /// The number of blocks after the last indirect block so far, and likewise on the level above
    /// it.
    leaves: u64,
    nodes: u64,
    /// Number of blocks.
    blocks: u64,
}

impl Counter {
    /// Adds the blocks `range` of a file. They must come after those added before.
    pub fn add(&mut self, range: Range<u64>) {
        if range.end <= DIRECT || range.is_empty() {
            return;
        }
        let first = leaf_of(range.start.max(DIRECT)).max(self.leaves);
        let end = leaf_of(range.end - 1) + 1;
        self.blocks += end.saturating_sub(first);
        self.leaves = end;
        if end == 1 {
            return;
        }
        let first = node_of(first.max(1)).max(self.nodes);
        let end = node_of(end - 1) + 1;
        self.blocks += end.saturating_sub(first);
        // The first node below the triple indirect block.
        self.blocks += u64::from(self.nodes <= 1 && end > 1);
        self.nodes = end;
    }

    /// Returns the number of blocks.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }
}

/// Returns the number of the indirect block that has the number of `block`. They are numbered from
/// the one that is in the inode.
fn leaf_of(block: u64) -> u64 {
    (block - DIRECT) / PER_BLOCK
}

/// Returns the number of the block that has the number of the indirect block `leaf`, which is not
/// the first. They are numbered from the double indirect block.
fn node_of(leaf: u64) -> u64 {
    (leaf - 1) / PER_BLOCK
}

/// Makes the map of a file with the blocks `extents`, and returns the part in the inode. The blocks
/// are passed to `emit` with their numbers, in the order of `places`, of which there must be as many
/// as [`Counter::blocks`] returns. A block comes after those whose numbers it has.
///
/// # Errors
/// Those of `emit`, and if a number is too large for its field.
pub fn write(
    extents: impl IntoIterator<Item = Extent>,
    places: &[u64],
    emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<IBlock> {
    let mut root = IBlock::default();
    if places.is_empty() {
        // Most files take this path.
        for extent in extents {
            for (at, block) in (extent.logical..).zip(extent.blocks()) {
                *root.get_mut(index(at)).context("a block without a map")? = le32(block)?;
            }
        }
        return Ok(root);
    }
    let mut map = Map {
        root,
        leaf: Level::default(),
        node: Level::default(),
        top: Level::default(),
        places: places.iter(),
        emit,
    };
    for extent in extents {
        map.add(extent)?;
    }
    map.end_leaf()?;
    map.end_node()?;
    map.end_top()?;
    Ok(map.root)
}

/// A block of numbers under construction: its own number, if any, among those of its level.
struct Level {
    number: Option<u64>,
    addresses: Addresses,
}

impl Default for Level {
    fn default() -> Level {
        Level {
            number: None,
            addresses: [U32::ZERO; 1024],
        }
    }
}

struct Map<'a, 'b> {
    root: IBlock,
    leaf: Level,
    node: Level,
    top: Level,
    places: std::slice::Iter<'a, u64>,
    emit: &'b mut dyn FnMut(u64, &[u8]) -> Result<()>,
}

impl Map<'_, '_> {
    fn add(&mut self, extent: Extent) -> Result<()> {
        let end = extent.logical + extent.length;
        let mut at = extent.logical;
        let mut block = extent.physical;
        while at < end {
            let length;
            if at < DIRECT {
                self.root[index(at)] = le32(block)?;
                length = 1;
            } else {
                let leaf = leaf_of(at);
                if self.leaf.number != Some(leaf) {
                    self.end_leaf()?;
                    self.leaf.number = Some(leaf);
                }
                let slot = (at - DIRECT) % PER_BLOCK;
                length = (end - at).min(PER_BLOCK - slot);
                let room = &mut self.leaf.addresses[index(slot)..index(slot + length)];
                for (address, block) in room.iter_mut().zip(block..) {
                    *address = le32(block)?;
                }
            }
            at += length;
            block += length;
        }
        Ok(())
    }

    fn end_leaf(&mut self) -> Result<()> {
        let Some(leaf) = self.leaf.number.take() else {
            return Ok(());
        };
        let place = emit(&mut self.leaf, &mut self.places, self.emit)?;
        if leaf == 0 {
            self.root[INDIRECT] = place;
            return Ok(());
        }
        let node = node_of(leaf);
        if self.node.number != Some(node) {
            self.end_node()?;
            self.node.number = Some(node);
        }
        self.node.addresses[index((leaf - 1) % PER_BLOCK)] = place;
        Ok(())
    }

    fn end_node(&mut self) -> Result<()> {
        let Some(node) = self.node.number.take() else {
            return Ok(());
        };
        let place = emit(&mut self.node, &mut self.places, self.emit)?;
        if node == 0 {
            self.root[DOUBLE_INDIRECT] = place;
            return Ok(());
        }
        self.top.number = Some(0);
        let address = self.top.addresses.get_mut(index(node - 1));
        *address.context("a file that is too long for its map")? = place;
        Ok(())
    }

    fn end_top(&mut self) -> Result<()> {
        if self.top.number.is_some() {
            self.root[TRIPLE_INDIRECT] = emit(&mut self.top, &mut self.places, self.emit)?;
        }
        Ok(())
    }
}

/// Emits and clears the block of `level`, and returns its number in the file system.
fn emit(
    level: &mut Level,
    places: &mut std::slice::Iter<'_, u64>,
    emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<U32> {
    let &place = places
        .next()
        .context("a block map has more blocks than planned")?;
    emit(place, level.addresses.as_bytes())?;
    level.addresses.fill(U32::ZERO);
    Ok(le32(place)?)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are meant")]
mod tests {
    use std::collections::BTreeMap;

    use zerocopy::FromBytes;

    use super::*;

    const SECOND: u64 = DIRECT + PER_BLOCK;
    const THIRD: u64 = SECOND + PER_BLOCK * PER_BLOCK;

    fn count(ranges: &[Range<u64>]) -> u64 {
        let mut counter = Counter::default();
        for range in ranges {
            counter.add(range.clone());
        }
        counter.blocks()
    }

    #[test]
    fn counts_blocks_on_every_level() {
        for (ranges, expected) in [
            (&[0..0][..], 0),
            (&[0..12], 0),
            (&[0..13], 1),
            (&[0..SECOND], 1),
            (&[0..SECOND + 1], 3),
            (&[0..4096], 5),
            (&[0..THIRD], 1 + 1 + 1024),
            (&[0..THIRD + 1], 1 + 1 + 1024 + 3),
            (&[0..MOST_BLOCKS], 524_289),
            // Holes: several ranges in one block, and blocks that are missing.
            (&[3..5, 15..16, 20..30], 1),
            (&[SECOND - 1..SECOND], 1),
            (&[SECOND..SECOND + 1, SECOND + 5..SECOND + 1025], 3),
            (&[THIRD..THIRD + 1], 3),
            (&[THIRD - 1..THIRD + 1, THIRD + 1024..THIRD + 1025], 2 + 4),
            (
                &[THIRD..THIRD + 1, THIRD + (1 << 20)..THIRD + (1 << 20) + 1],
                5,
            ),
            (
                &[0..1, 12..13, SECOND..SECOND + 1, THIRD..THIRD + 1],
                1 + 2 + 3,
            ),
        ] {
            assert_eq!(count(ranges), expected, "{ranges:?}");
        }
    }

    /// Looks a block up in a map.
    fn find(root: &IBlock, blocks: &BTreeMap<u64, Vec<u8>>, at: u64) -> u32 {
        let (mut address, path) = match at {
            0..DIRECT => (root[index(at)], vec![]),
            DIRECT..SECOND => (root[12], vec![at - DIRECT]),
            SECOND..THIRD => {
                let rest = at - SECOND;
                (root[13], vec![rest >> 10, rest & 1023])
            }
            _ => {
                let rest = at - THIRD;
                (root[14], vec![rest >> 20, rest >> 10 & 1023, rest & 1023])
            }
        };
        for step in path {
            if address.get() != 0 {
                let block = &blocks[&u64::from(address.get())];
                address = <Addresses>::read_from_bytes(block).unwrap()[index(step)];
            }
        }
        address.get()
    }

    #[test]
    fn every_block_is_found_and_nothing_else() {
        let ranges = [
            2..5,
            7..14,
            SECOND - 3..SECOND + 2,
            THIRD - 1..THIRD + 1,
            THIRD + 2000..THIRD + 2050,
            THIRD + (1 << 20)..THIRD + (1 << 20) + 1,
        ];
        let mut physical = 1_000_000;
        let mut extents = Vec::new();
        for range in &ranges {
            // In two pieces where possible.
            let middle = range.start + (range.end - range.start) / 2;
            for part in [range.start..middle, middle..range.end] {
                physical += 7;
                extents.push(Extent {
                    logical: part.start,
                    physical,
                    length: part.end - part.start,
                });
                physical += part.end - part.start;
            }
        }
        let places: Vec<u64> = (500..500 + count(&ranges)).collect();
        let mut blocks = BTreeMap::new();
        let mut order = Vec::new();
        let root = write(extents.iter().copied(), &places, &mut |place, block| {
            order.push(place);
            blocks.insert(place, block.to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(order, places);
        for extent in &extents {
            for (at, block) in (extent.logical..).zip(extent.blocks()) {
                assert_eq!(u64::from(find(&root, &blocks, at)), block, "{at}");
            }
        }
        for range in &ranges {
            assert_eq!(find(&root, &blocks, range.end), 0);
            assert_eq!(find(&root, &blocks, range.start - 1), 0);
        }
        let one = Extent {
            logical: 12,
            physical: 1,
            length: 1,
        };
        assert!(write([one], &[1 << 32], &mut |_, _| Ok(())).is_err());
    }
}
