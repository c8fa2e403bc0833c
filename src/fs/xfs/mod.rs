//! A writer for XFS file systems as `mkfs.xfs` of xfsprogs 6.13 makes them by default in a file, filled
//! with the files of a tree.
//!
//! The whole layout is determined first: [`Census`] gives each inode a slot and counts blocks,
//! [`geometry`] computes the sizes of the file system, and [`allocate`] places every block. Metadata is
//! generated from the layout when it is written. The format is documented in the kernel's
//! fs/xfs/libxfs/xfs_format.h and xfs_da_format.h, and in "XFS Algorithms & Data Structures". Where it
//! leaves a choice, the writer does what xfsprogs or Linux does.
//!
//! Every feature is that of `mkfs.xfs`. All of them can be read by Linux 6.1. GRUB 2.06 cannot read large
//! extent counters (`nrext64`), but that of Debian 12 can (tested with its `grub-fstest`), as can
//! GRUB 2.12, so they are included.
//!
//! Linux keeps free blocks in each allocation group so that its B+trees can always grow. The writer
//! leaves them free, too, and they do not count as available.

mod acl;
mod allocate;
mod attribute;
mod btree;
mod census;
mod contents;
mod directory;
mod extent;
mod forks;
mod geometry;
mod group;
mod hash;
mod head;
mod index;
mod inode;
mod layout;
mod log;
mod ondisk;
mod place;
mod plan;
mod rmap;
mod size;
mod superblock;

use std::sync::Arc;

use super::{Counted, Format, Options, Plan, PlanError};
use crate::tree::Tree;
use census::Census;
use contents::Contents;
use geometry::{Geometry, MAXIMUM};
use ondisk::BLOCK_SIZE;

/// The XFS writer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Xfs;

impl Format for Xfs {
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError> {
        Ok(Box::new(CountedTree {
            census: Arc::new(Census::new(tree, options)?),
            tree: Arc::clone(tree),
            options: options.clone(),
        }))
    }
}

/// A tree and the inodes and blocks that it needs.
struct CountedTree {
    tree: Arc<Tree>,
    census: Arc<Census>,
    options: Options,
}

impl Counted for CountedTree {
    fn plan(&self, length: u64) -> Result<Box<dyn Plan>, PlanError> {
        let blocks = length / BLOCK_SIZE;
        if blocks > MAXIMUM {
            return Err(PlanError::Unrepresentable(vec![format!(
                "a file system of {length} bytes; this XFS writer's limit is {} (1 PiB)",
                MAXIMUM * BLOCK_SIZE
            )]));
        }
        let geometry = Geometry::new(blocks);
        let layout =
            geometry.and_then(|found| allocate::lay_out(&self.tree, &self.census, &found).ok());
        let Some(mut layout) = layout else {
            return Err(PlanError::TooSmall {
                needed: self.smallest(0)?,
                inodes: self.census.inodes(),
                length,
            });
        };
        allocate::size_rmap_trees(&mut layout).map_err(anyhow::Error::from)?;
        Ok(Box::new(plan::XfsPlan {
            contents: Contents {
                tree: Arc::clone(&self.tree),
                census: Arc::clone(&self.census),
                layout,
                options: self.options.clone(),
            },
            length,
        }))
    }

    fn smallest(&self, free: u64) -> Result<u64, PlanError> {
        let free = free.div_ceil(BLOCK_SIZE);
        let blocks = size::smallest(&self.tree, &self.census, free)?;
        Ok(blocks * BLOCK_SIZE)
    }
}
