//! Extents of an inode: in the inode, or in a B+tree whose root is in the inode (kernel,
//! fs/xfs/libxfs/xfs_bmap_btree.c).

use anyhow::Result;
use zerocopy::big_endian::{U16, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::btree::{levels, parts};
use super::geometry::Geometry;
use super::ondisk::{BLOCK_SIZE, Block, BmbtBlockHeader, BmbtRecord, be16, put, seal};
use super::place::sector;
use crate::fs::DataExtent;
use crate::fs::number::index;

/// The most blocks in an extent: 21 bits.
pub const LONGEST: u64 = (1 << 21) - 1;
/// Size of a record in bytes.
const RECORD: usize = size_of::<BmbtRecord>();
/// Number of records, or of keys and pointers, in a block of the tree.
const ENTRIES: u64 = ((size_of::<Block>() - size_of::<BmbtBlockHeader>()) / RECORD) as u64;
/// Size of the root's header (`xfs_bmdr_block`) in bytes.
const ROOT_HEADER: usize = 4;

/// A range of adjacent blocks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first block in the file.
    pub logical: u64,
    /// The first block in the file system.
    pub block: u64,
    /// Number of blocks.
    pub length: u64,
}

impl From<&DataExtent> for Extent {
    fn from(data: &DataExtent) -> Extent {
        Extent {
            logical: data.file_offset / BLOCK_SIZE,
            block: data.offset / BLOCK_SIZE,
            length: data.length.div_ceil(BLOCK_SIZE),
        }
    }
}

impl Extent {
    fn encode(&self, geometry: &Geometry) -> BmbtRecord {
        let address = geometry.address(self.block);
        BmbtRecord {
            l0: U64::new(self.logical << 9 | address >> 43),
            l1: U64::new(address << 21 | self.length & LONGEST),
        }
    }
}

/// Returns the number of blocks of the tree for `extents` extents in an inode that has `space` bytes
/// for them.
pub fn tree_blocks(extents: u64, space: usize) -> u64 {
    tree_levels(extents, space).iter().sum()
}

/// Returns the number of blocks on each level, the leaves first; none if the extents fit in the inode.
fn tree_levels(extents: u64, space: usize) -> Vec<u64> {
    // usize to u64: lossless.
    match extents <= (space / RECORD) as u64 {
        true => Vec::new(),
        false => levels(extents, ENTRIES, ENTRIES, root_entries(space) as u64),
    }
}

fn root_entries(space: usize) -> usize {
    (space - ROOT_HEADER) / RECORD
}

/// The extents of an inode in their form on disk.
pub struct Encoded {
    /// What is in the inode.
    pub in_inode: Vec<u8>,
    /// The blocks of the tree, in order.
    pub blocks: Vec<Block>,
}

/// Encodes `extents` for the inode `owner` that has `space` bytes for them. The blocks of the tree are
/// at `places`.
///
/// # Errors
/// If a number is too large for its field.
pub fn encode(
    extents: impl Iterator<Item = Extent>,
    space: usize,
    places: impl Iterator<Item = u64>,
    owner: u64,
    geometry: &Geometry,
    uuid: &[u8; 16],
) -> Result<Encoded> {
    let mut records = Vec::new();
    let mut keys = Vec::new();
    for extent in extents {
        records.push(extent.encode(geometry));
        keys.push(U64::new(extent.logical));
    }
    // usize to u64: lossless.
    let levels = tree_levels(records.len() as u64, space);
    if levels.is_empty() {
        return Ok(Encoded {
            in_inode: records.as_bytes().to_vec(),
            blocks: Vec::new(),
        });
    }
    let places: Vec<u64> = places.collect();
    let mut rest = &places[..];
    let mut blocks = Vec::with_capacity(places.len());
    let mut pointers = Vec::new();
    for (level, &count) in levels.iter().enumerate() {
        let own;
        (own, rest) = rest
            .split_at_checked(index(count))
            .ok_or_else(|| anyhow::anyhow!("inode {owner} has more tree blocks than planned"))?;
        let mut above = Vec::new();
        for (at, part) in parts(keys.len(), own.len()).enumerate() {
            let neighbor = |at: Option<usize>| {
                let place = at.and_then(|at| own.get(at));
                U64::new(place.map_or(BmbtBlockHeader::NULL, |&place| geometry.address(place)))
            };
            let mut block = Block::new_zeroed();
            let header = BmbtBlockHeader {
                bb_magic: BmbtBlockHeader::MAGIC,
                bb_level: be16(level)?,
                bb_numrecs: be16(part.len())?,
                bb_leftsib: neighbor(at.checked_sub(1)),
                bb_rightsib: neighbor(Some(at + 1)),
                bb_blkno: sector(own[at]),
                bb_uuid: *uuid,
                bb_owner: U64::new(owner),
                ..BmbtBlockHeader::new_zeroed()
            };
            put(&mut block, 0, &header);
            let start = size_of_val(&header);
            match level {
                0 => put(&mut block, start, &records[part.clone()]),
                _ => {
                    put(&mut block, start, &keys[part.clone()]);
                    let half = start + index(ENTRIES) * size_of::<U64>();
                    put(&mut block, half, &pointers[part.clone()]);
                }
            }
            seal(&mut block, BmbtBlockHeader::CHECKSUM);
            blocks.push(block);
            above.push(keys[part.start]);
        }
        keys = above;
        let address = |&place: &u64| U64::new(geometry.address(place));
        pointers = own.iter().map(address).collect();
    }
    let mut in_inode = vec![0; space];
    let header = [be16(levels.len())?, be16(keys.len())?];
    put(&mut in_inode, 0, &header as &[U16]);
    put(&mut in_inode, ROOT_HEADER, &keys[..]);
    let pointers_at = ROOT_HEADER + root_entries(space) * size_of::<U64>();
    put(&mut in_inode, pointers_at, &pointers[..]);
    Ok(Encoded { in_inode, blocks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_begins_where_extents_do_not_fit_in_the_inode() {
        assert_eq!(tree_blocks(21, 336), 0);
        assert_eq!(tree_blocks(22, 336), 1);
        assert_eq!(tree_blocks(6, 96), 0);
        assert_eq!(tree_blocks(7, 96), 1);
        // 20 pointers fit in the inode.
        assert_eq!(tree_blocks(20 * 251, 336), 20);
        assert_eq!(tree_blocks(20 * 251 + 1, 336), 21 + 1);
        assert_eq!(tree_blocks(20 * 251 * 251 + 1, 336), 20 * 251 + 1 + 21 + 1);
    }

    #[test]
    fn records_have_54_52_and_21_bits() {
        let geometry = Geometry::new(76_800).unwrap();
        let extent = Extent {
            logical: 5,
            block: 2 * 19_200 + 7,
            length: 3,
        };
        let record = extent.encode(&geometry);
        assert_eq!(record.l0.get(), 5 << 9);
        assert_eq!(record.l1.get(), 65_543 << 21 | 3);
    }
}
