//! What each block is used for.

use anyhow::{Context, Result};

use super::{Ext, map};
use crate::volume::ext::inode::Inode;
use crate::volume::node::Kind;
use crate::volume::runs::{Owner, Owners};

/// The most ranges that are kept: 128 MiB of memory.
const MOST: usize = 4 << 20;

/// Blocks of the inode table that are read at a time, in bytes.
const PIECE: u64 = 64 << 10;

/// Finds the owners of all blocks of `ext`.
///
/// # Errors
/// If group descriptors are damaged. Inodes that are damaged own nothing.
pub fn find(ext: &Ext<'_>) -> Result<Owners> {
    let geometry = &ext.geometry;
    let mut owners = Owners::default();
    let bytes = |block: u64| block.saturating_mul(geometry.block);
    let end = bytes(geometry.blocks);
    owners.add(end..ext.region.length.max(end), Owner::Beyond);
    // Blocks of 1 KiB begin with the boot sector, which the first group does not contain.
    owners.add(0..1024, Owner::Reserved);
    let descriptor_blocks = geometry.groups.div_ceil(geometry.descriptors_per_block());
    for group in 0..geometry.groups {
        let number = u32::try_from(group).unwrap_or(u32::MAX);
        let start = geometry.superblock(group);
        if geometry.has_superblock(group) {
            let superblock = bytes(start).max(1024);
            owners.add(
                superblock..superblock.saturating_add(1024),
                Owner::Superblock(number),
            );
            let after = bytes(start.saturating_add(1));
            owners.add(superblock.saturating_add(1024)..after, Owner::Reserved);
            if geometry.first_meta.is_none() {
                let reserved = after.saturating_add(bytes(descriptor_blocks));
                owners.add(after..reserved, Owner::Descriptors(number));
                let first = reserved.saturating_add(bytes(geometry.reserved));
                owners.add(reserved..first, Owner::ReservedDescriptors(number));
            }
        }
        let found = ext.group(group)?;
        let one = |block: u64| bytes(block)..bytes(block.saturating_add(1));
        owners.add(one(found.block_bitmap), Owner::BlockBitmap(number));
        owners.add(one(found.inode_bitmap), Owner::InodeBitmap(number));
        let table = found.inode_table;
        let table_end = table.saturating_add(ext.inode_table_blocks());
        owners.add(bytes(table)..bytes(table_end), Owner::InodeTable(number));
    }
    if geometry.first_meta.is_some() {
        for index in 0..descriptor_blocks {
            let group = index.saturating_mul(geometry.descriptors_per_block());
            let block = geometry.descriptor_block(group);
            let number = u32::try_from(group).unwrap_or(u32::MAX);
            owners.add(
                bytes(block)..bytes(block.saturating_add(1)),
                Owner::Descriptors(number),
            );
        }
    }
    for group in 0..geometry.groups {
        files(ext, group, &mut owners)?;
    }
    Ok(owners.finish())
}

/// Adds the blocks of the files whose inodes are in a group.
fn files(ext: &Ext<'_>, group: u64, owners: &mut Owners) -> Result<()> {
    let geometry = &ext.geometry;
    let found = ext.group(group)?;
    if found.no_inodes {
        return Ok(());
    }
    let table = found.inode_table.saturating_mul(geometry.block);
    let length = geometry.inodes_per_group.saturating_mul(geometry.inode);
    let size = usize::try_from(geometry.inode)?;
    let mut next = 0;
    // Large parts of an inode table are zeros.
    let range = table..table.saturating_add(length);
    while let Some((at, count)) = ext.region.next_piece(&range, next, PIECE)? {
        next = at.saturating_add(count);
        let mut piece = vec![0; usize::try_from(count)?];
        let place = table.saturating_add(at);
        ext.region.read(place, &mut piece, "the inode table")?;
        let first = at / geometry.inode;
        for (index, bytes) in (first..).zip(piece.chunks_exact(size)) {
            let number = group
                .saturating_mul(geometry.inodes_per_group)
                .saturating_add(index)
                .saturating_add(1);
            let inode = Inode::parse(bytes.to_vec());
            if inode.is_used() || number == geometry.journal {
                file(ext, &inode, number, owners);
            }
            if owners.len() > MOST {
                return Err(anyhow::anyhow!(
                    "there are more than {MOST} pieces of files"
                ))
                .context("finding out what each block is used for");
            }
        }
    }
    Ok(())
}

/// Adds the blocks of a file.
fn file(ext: &Ext<'_>, inode: &Inode, number: u64, owners: &mut Owners) {
    let block = ext.geometry.block;
    let attributes = inode.attribute_block();
    if attributes != 0 {
        let start = attributes.saturating_mul(block);
        owners.add(
            start..start.saturating_add(block),
            Owner::Attributes(number),
        );
    }
    let kind = inode.kind();
    let has_blocks = match kind {
        Kind::File | Kind::Directory | Kind::Unknown => true,
        Kind::Symlink => inode.has_extents() || inode.size() >= 60,
        _ => false,
    };
    if !has_blocks {
        return;
    }
    let Ok(blocks) = map::blocks(ext, inode, number) else {
        return;
    };
    for map in blocks.maps {
        let start = map.saturating_mul(block);
        owners.add(start..start.saturating_add(block), Owner::Map(number));
    }
    for run in blocks.runs {
        let Some(place) = run.place else { continue };
        let end = place.saturating_add(run.length);
        let owner = match kind {
            _ if number == ext.geometry.journal => Owner::Journal,
            Kind::Directory => Owner::Directory(number),
            _ => {
                let used = inode.size().saturating_sub(run.at).min(run.length);
                let middle = place.saturating_add(used);
                owners.add(place..middle, Owner::Contents(number));
                owners.add(middle..end, Owner::Slack(number));
                continue;
            }
        };
        owners.add(place..end, owner);
    }
}
