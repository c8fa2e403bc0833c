//! A writer for ext2, ext3 and ext4 file systems as `mkfs.ext4 -b 4096` and so on of e2fsprogs
//! 1.47.0 make them, filled with the files of a tree. The types differ in their [`features`].
//!
//! The whole layout is determined first: [`census`](Census) numbers the inodes and counts blocks,
//! [`geometry`] computes the sizes of the file system, [`tables`] and [`allocate`] place every
//! block. Metadata is generated from the layout when it is written. The format is documented in the
//! kernel's Documentation/filesystems/ext4. Where it leaves a choice, the writer does what
//! e2fsprogs does.

pub(super) mod acl;
mod allocate;
mod bitmap;
mod block_map;
mod census;
mod checksum;
mod directory;
mod dirhash;
mod extent;
mod features;
mod geometry;
mod group_descriptor;
mod groups;
mod htree;
mod inode;
mod inode_table;
mod journal;
mod mapping;
mod names;
pub(crate) mod ondisk;
mod plan;
mod resize_inode;
mod size;
mod superblock;
mod tables;
mod used;
mod xattr;

pub(crate) use ondisk::SuperBlock;

use std::sync::Arc;

use super::{Counted, Format, Options, Plan, PlanError};
use crate::tree::Tree;
use census::Census;
use features::Features;
use ondisk::{BLOCK_SIZE, InodeRecord};

/// Bytes per inode.
const INODE_SIZE: u64 = size_of::<InodeRecord>() as u64;

/// Numbers of the reserved inodes.
const BAD_BLOCKS_INODE: u32 = 1;
const ROOT_INODE: u32 = 2;
const RESIZE_INODE: u32 = 7;
const JOURNAL_INODE: u32 = 8;
const LOST_FOUND_INODE: u32 = 11;
/// The first inode that is not reserved, which is `lost+found`.
const FIRST_FREE_INODE: u64 = 11;

/// The directory in which `fsck` puts files that are not in any directory.
const LOST_FOUND: &[u8] = b"lost+found";

/// The ext2 writer. Times have 32 bits of seconds, and the nanoseconds are only for Linux's ext4
/// driver, which can mount ext2.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ext2;

/// The ext3 writer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ext3;

/// The ext4 writer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ext4;

impl Format for Ext2 {
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError> {
        count(&features::EXT2, tree, options)
    }
}

impl Format for Ext3 {
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError> {
        count(&features::EXT3, tree, options)
    }
}

impl Format for Ext4 {
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError> {
        count(&features::EXT4, tree, options)
    }
}

fn count(
    features: &'static Features,
    tree: &Arc<Tree>,
    options: &Options,
) -> Result<Box<dyn Counted>, PlanError> {
    Ok(Box::new(CountedTree {
        census: Arc::new(Census::new(tree, options, features)?),
        tree: Arc::clone(tree),
        options: options.clone(),
    }))
}

/// A tree and the inodes and blocks that it needs.
struct CountedTree {
    tree: Arc<Tree>,
    census: Arc<Census>,
    options: Options,
}

impl Counted for CountedTree {
    fn plan(&self, length: u64) -> Result<Box<dyn Plan>, PlanError> {
        let census = &self.census;
        let blocks = length / BLOCK_SIZE;
        let most = census.features.most_blocks();
        if blocks > most {
            return Err(PlanError::Unrepresentable(vec![format!(
                "a file system of {length} bytes; this {} writer's limit is {}{}",
                census.features.name,
                most * BLOCK_SIZE,
                if most.is_power_of_two() {
                    " (16 TiB)"
                } else {
                    ""
                }
            )]));
        }
        let Some(layout) = allocate::lay_out(&self.tree, census, blocks) else {
            let from = blocks.max(size::MINIMUM);
            return Err(PlanError::TooSmall {
                needed: size::smallest(&self.tree, census, from, 0)? * BLOCK_SIZE,
                inodes: census.inodes(),
                length,
            });
        };
        Ok(Box::new(plan::Ext4Plan::new(
            Arc::clone(&self.tree),
            Arc::clone(census),
            layout,
            length,
            &self.options,
        )))
    }

    fn smallest(&self, free: u64) -> Result<u64, PlanError> {
        let mut free = free.div_ceil(BLOCK_SIZE);
        if !self.census.features.extents() {
            // A file that fills them needs a block map, which is free space until then.
            free = free.saturating_add(mapping::blocks(self.census.features, free));
        }
        let blocks = size::smallest(&self.tree, &self.census, size::MINIMUM, free)?;
        Ok(blocks * BLOCK_SIZE)
    }
}

/// Returns the directory hash seed of the file system `uuid`. `mkfs.ext4` makes a random one. This
/// is a name-based UUID (RFC 9562, version 5), so that it is reproducible.
fn hash_seed(uuid: uuid::Uuid) -> dirhash::Seed {
    dirhash::Seed(uuid::Uuid::new_v5(&uuid, b"ext4 directory hash seed").into_bytes())
}
