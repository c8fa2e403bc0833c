//! The headers and B+trees of an allocation group.

use anyhow::Result;
use zerocopy::big_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

use super::btree::{self, Built, Tree};
use super::census::CHUNK;
use super::contents::Contents;
use super::geometry::{CHUNK_BLOCKS, FREE_LIST};
use super::layout::Group;
use super::ondisk::{Agf, Agfl, Agi, Block, Dsb, SECTOR_SIZE, be32, put, seal};
use super::place::Place;
use super::rmap::{self, Merged};
use super::superblock;
use crate::fs::number::{TooWide, index};

/// The index in [`Agfl`] of the first block: `mkfs.xfs` begins at 1.
const FIRST_FREE: usize = 1;

/// Makes the metadata at the beginning of the group `number`, and B+tree blocks at the end of its
/// inodes and data. Both are (block in the group, bytes) in order.
///
/// # Errors
/// If a number is too large for its field.
pub fn build(contents: &Contents, number: u64) -> Result<(Vec<Numbered>, Vec<Numbered>)> {
    let layout = &contents.layout;
    let geometry = &layout.geometry;
    let group = &layout.groups[index(number)];
    let uuid = contents.uuid();
    let place = Place {
        group: number,
        first: number * geometry.group_blocks,
        uuid,
    };
    let mut merged = Merged::keeping();
    layout.mappings(number, &mut merged)?;
    let rmap = Build {
        tree: &rmap::TREE,
        root: btree::RMAP_ROOT,
        next: group.end + group.inode_tree,
    }
    .run(&merged.finish()?, place)?;
    let free = free_ranges(contents, number, group)?;
    let by_block =
        Build::small(&btree::BY_BLOCK, btree::BY_BLOCK_ROOT).run(free.as_bytes(), place)?;
    let mut free_by_length = free.clone();
    free_by_length.sort_unstable_by_key(|[start, length]| (*length, *start));
    let by_length = Build::small(&btree::BY_LENGTH, btree::BY_LENGTH_ROOT)
        .run(free_by_length.as_bytes(), place)?;
    let (chunks, with_free, free_inodes) = chunks(contents, group)?;
    let inodes = Build {
        tree: &btree::INODES,
        root: btree::INODES_ROOT,
        next: group.end,
    }
    .run(&chunks, place)?;
    let free_inode_tree =
        Build::small(&btree::FREE_INODES, btree::FREE_INODES_ROOT).run(&with_free, place)?;
    let reference_counts =
        Build::small(&btree::REFERENCE_COUNTS, btree::REFERENCE_COUNTS_ROOT).run(&[], place)?;

    let superblock = superblock::encode(
        number,
        layout,
        &contents.census,
        contents.options.uuid,
        contents.options.label.as_bytes(),
    )?;
    let lengths = free.iter().map(|[_, length]| u64::from(length.get()));
    let agf = Agf {
        agf_magicnum: Agf::MAGIC,
        agf_versionnum: U32::new(1),
        agf_seqno: be32(number)?,
        agf_length: be32(geometry.length(number))?,
        agf_roots: [by_block.root, by_length.root, rmap.root],
        agf_levels: [by_block.levels, by_length.levels, rmap.levels],
        agf_flfirst: be32(FIRST_FREE)?,
        agf_fllast: be32(FREE_LIST)?,
        agf_flcount: be32(FREE_LIST)?,
        agf_freeblks: be32(lengths.clone().sum::<u64>())?,
        agf_longest: be32(lengths.max().unwrap_or(0))?,
        agf_btreeblks: be32(group.rmap_tree)?,
        agf_uuid: *uuid,
        agf_rmap_blocks: be32(rmap.blocks.len())?,
        agf_refcount_blocks: be32(reference_counts.blocks.len())?,
        agf_refcount_root: reference_counts.root,
        agf_refcount_level: reference_counts.levels,
        ..Agf::new_zeroed()
    };
    let newest = match group.chunks {
        0 => Agi::NULL,
        chunks => be32(first_inode(group, chunks - 1))?,
    };
    let agi = Agi {
        agi_magicnum: Agi::MAGIC,
        agi_versionnum: U32::new(1),
        agi_seqno: be32(number)?,
        agi_length: be32(geometry.length(number))?,
        agi_count: be32(group.chunks * CHUNK)?,
        agi_root: inodes.root,
        agi_level: inodes.levels,
        agi_freecount: be32(free_inodes)?,
        agi_newino: newest,
        agi_dirino: Agi::NULL,
        agi_unlinked: [Agi::NULL; 64],
        agi_uuid: *uuid,
        agi_free_root: free_inode_tree.root,
        agi_free_level: free_inode_tree.levels,
        agi_iblocks: be32(inodes.blocks.len())?,
        agi_fblocks: be32(free_inode_tree.blocks.len())?,
        ..Agi::new_zeroed()
    };
    let mut agfl = Agfl {
        agfl_magicnum: Agfl::MAGIC,
        agfl_seqno: be32(number)?,
        agfl_uuid: *uuid,
        agfl_bno: [Agfl::NULL; 119],
        ..Agfl::new_zeroed()
    };
    let list = geometry.free_list(number);
    for (slot, block) in agfl.agfl_bno[FIRST_FREE..]
        .iter_mut()
        .zip(list..list + FREE_LIST)
    {
        *slot = be32(block)?;
    }
    let headers = sectors([
        (superblock.as_bytes(), Dsb::CHECKSUM),
        (agf.as_bytes(), Agf::CHECKSUM),
        (agi.as_bytes(), Agi::CHECKSUM),
        (agfl.as_bytes(), Agfl::CHECKSUM),
    ]);
    let mut blocks = vec![(0, headers)];
    for tree in [
        by_block,
        by_length,
        inodes,
        free_inode_tree,
        rmap,
        reference_counts,
    ] {
        blocks.extend(tree.blocks);
    }
    blocks.sort_by_key(|(block, _)| *block);
    let tail = blocks.split_off(blocks.partition_point(|(block, _)| *block < group.end));
    Ok((blocks, tail))
}

/// A block of a group, and its number in the group.
pub type Numbered = (u64, Block);

/// Where a tree is.
struct Build<'a> {
    tree: &'a Tree,
    root: u64,
    next: u64,
}

impl<'a> Build<'a> {
    /// A tree that consists of its root.
    fn small(tree: &'a Tree, root: u64) -> Build<'a> {
        Build {
            tree,
            root,
            next: root,
        }
    }

    fn run(&self, records: &[u8], place: Place<'_>) -> Result<Built> {
        self.tree.build(records, place, self.root, self.next)
    }
}

/// Returns the ranges of free blocks, in order: before the inodes, and at the end.
fn free_ranges(contents: &Contents, number: u64, group: &Group) -> Result<Vec<[U32; 2]>, TooWide> {
    let geometry = &contents.layout.geometry;
    let gap = match group.chunks {
        0 => 0..0,
        _ => geometry.first_free(number)..group.inodes,
    };
    let mut ranges = Vec::new();
    for range in [gap, group.free()..geometry.length(number)] {
        if !range.is_empty() {
            ranges.push([be32(range.start)?, be32(range.end - range.start)?]);
        }
    }
    Ok(ranges)
}

/// Returns the number in the group of the first inode of a chunk of the group.
fn first_inode(group: &Group, chunk: u64) -> u64 {
    (group.inodes + chunk * CHUNK_BLOCKS) * (CHUNK / CHUNK_BLOCKS)
}

/// Returns the records of all chunks, of those with free inodes, and the number of free inodes.
fn chunks(contents: &Contents, group: &Group) -> Result<(Vec<u8>, Vec<u8>, u64), TooWide> {
    let mut all = Vec::new();
    let mut with_free = Vec::new();
    let mut total = 0;
    for chunk in 0..group.chunks {
        let before = (group.first_chunk + chunk) * CHUNK;
        let used = contents.census.inodes().saturating_sub(before).min(CHUNK);
        let free = CHUNK - used;
        let mask = match free {
            0 => 0,
            _ => u64::MAX << used,
        };
        let mut record = be32(first_inode(group, chunk))?.to_bytes().to_vec();
        // No holes; the number of inodes, and of free ones.
        record.extend_from_slice(&be32(CHUNK << 8 | free)?.to_bytes());
        record.extend_from_slice(&mask.to_be_bytes());
        if free > 0 {
            with_free.extend_from_slice(&record);
        }
        all.extend_from_slice(&record);
        total += free;
    }
    Ok((all, with_free, total))
}

/// Returns the block of the headers: each is in a sector, and has a checksum at this offset.
fn sectors(headers: [(&[u8], usize); 4]) -> Block {
    let mut block = Block::new_zeroed();
    for (sector, (header, checksum)) in block.chunks_mut(index(SECTOR_SIZE)).zip(headers) {
        put(sector, 0, header);
        seal(sector, checksum);
    }
    block
}
