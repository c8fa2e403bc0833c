//! Generation of the bitmaps and descriptors of block groups.

use zerocopy::IntoBytes;

use super::allocate::Layout;
use super::bitmap;
use super::census::Census;
use super::checksum::Seed;
use super::group_descriptor::Group;
use super::ondisk::{BLOCK_SIZE, Block, put};
use crate::fs::number::{TooWide, index};
use crate::tree::Tree;

/// Returns whether `group` needs a block bitmap. The last group always does, and without checksums
/// all groups do. Another group does not if only copies of the superblock and of the descriptors are
/// in use, because their place is known without a bitmap.
pub fn has_block_bitmap(layout: &Layout, group: u64) -> bool {
    let geometry = &layout.geometry;
    if !geometry.features.metadata_csum() {
        return true;
    }
    let first = geometry.first_block(group);
    let end = first + geometry.group_blocks(group);
    group == geometry.groups - 1
        || layout.end > first
        || layout.fixed.count(first..end) != geometry.superblock_blocks(group)
}

/// Returns the block bitmap of `group` and the number of its free blocks, or `None` if no bitmap is
/// needed.
pub fn block_bitmap(layout: &Layout, group: u64) -> Option<(Block, u64)> {
    if !has_block_bitmap(layout, group) {
        return None;
    }
    let geometry = &layout.geometry;
    let first = geometry.first_block(group);
    let end = first + geometry.group_blocks(group);
    let mut bits = bitmap::empty();
    let below = layout.end.clamp(first, end);
    bitmap::set(&mut bits, 0..below - first);
    let mut taken = below - first;
    for part in layout.fixed.parts(below..end) {
        taken += part.end - part.start;
        bitmap::set(&mut bits, part.start - first..part.end - first);
    }
    // Blocks after the end of the group count as used.
    bitmap::set(&mut bits, end - first..BLOCK_SIZE * 8);
    Some((bits, end - first - taken))
}

/// Returns the number of inodes in use in `group`. They are its first ones.
pub fn inodes_used(layout: &Layout, census: &Census, group: u64) -> u64 {
    let per_group = layout.geometry.inodes_per_group;
    census
        .inodes()
        .saturating_sub(group * per_group)
        .min(per_group)
}

/// Returns the inode bitmap of `group`, or `None` if no inode is in use and it may be left out.
pub fn inode_bitmap(layout: &Layout, census: &Census, group: u64) -> Option<Block> {
    let used = inodes_used(layout, census, group);
    if used == 0 && layout.geometry.features.metadata_csum() {
        return None;
    }
    let mut bits = bitmap::empty();
    bitmap::set(&mut bits, 0..used);
    bitmap::set(&mut bits, layout.geometry.inodes_per_group..BLOCK_SIZE * 8);
    Some(bits)
}

/// Returns the table of all group descriptors, in whole blocks.
///
/// # Errors
/// If a number is too large for its field.
pub fn descriptors(
    layout: &Layout,
    census: &Census,
    tree: &Tree,
    seed: Seed,
) -> Result<Vec<u8>, TooWide> {
    let geometry = &layout.geometry;
    let per_group = geometry.inodes_per_group;
    let mut table = vec![0; index(geometry.descriptor_blocks * BLOCK_SIZE)];
    let mut directories = vec![0u64; index(geometry.groups)];
    for holder in census.holders() {
        // If the tree has no lost+found, the one that is added is a directory, too.
        let directory = census
            .id(holder.number)
            .is_none_or(|id| tree.directory(id).is_some());
        directories[index((u64::from(holder.number) - 1) / per_group)] += u64::from(directory);
    }
    for number in 0..geometry.groups {
        let blocks = block_bitmap(layout, number);
        let block_checksum = blocks.as_ref().map(|(bits, _)| {
            let length = index(geometry.blocks_per_group / 8);
            seed.then(&bits[..length]).value()
        });
        let free_blocks = match blocks {
            Some((_, free)) => free,
            None => geometry.group_blocks(number) - geometry.superblock_blocks(number),
        };
        let inode_checksum = inode_bitmap(layout, census, number)
            .map(|bits| seed.then(&bits[..index(per_group / 8)]).value());
        let free_inodes = per_group - inodes_used(layout, census, number);
        let group = Group {
            tables: layout.tables[index(number)],
            free_blocks,
            free_inodes,
            unused_inodes: free_inodes,
            directories: directories[index(number)],
            block_bitmap: block_checksum,
            inode_bitmap: inode_checksum,
        };
        let size = geometry.features.descriptor_size();
        let descriptor = group.encode(number, seed, geometry.features)?;
        put(
            &mut table,
            index(number) * size,
            &descriptor.as_bytes()[..size],
        );
    }
    Ok(table)
}
