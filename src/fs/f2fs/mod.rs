//! A writer for F2FS as `mkfs.f2fs` of f2fs-tools 1.16.0 makes it, filled with the files of a tree.
//!
//! The main area of f2fs consists of logs ([`Log`](logs::Log)): of inodes and other nodes, and of
//! data, each hot, warm or cold. [`Census`] numbers the inodes and gives everything a place in its
//! log. This does not depend on the length of the file system. [`Geometry`]
//! computes the sizes of all areas, and [`Layout`] places the logs one after
//! the other. Metadata is generated from that when it is written, with the contents of small
//! files, which are in their inodes.
//!
//! The format is that of the kernel's `include/linux/f2fs_fs.h`, and Documentation/filesystems/f2fs.rst
//! explains it. Where it leaves a choice, the writer does what Linux does.

mod census;
mod checkpoint;
mod crc;
mod directory;
mod geometry;
mod hash;
mod inode;
mod label;
mod layout;
mod logs;
mod nodes;
mod ondisk;
mod parallel;
mod plan;
mod segment;
mod size;
mod summary;
mod superblock;
mod tables;
mod temperature;
mod view;
mod xattr;

use std::sync::Arc;

use super::{Counted, Format, Options, Plan, PlanError};
use crate::tree::Tree;
use census::Census;
use geometry::{Geometry, MAX_SEGMENTS, SEGMENT_SIZE};
use layout::Layout;

/// The number of the root directory's inode. Two inodes before it exist only in memory.
const ROOT_INODE: u32 = 3;
/// See [`ROOT_INODE`].
const NODE_INODE: u32 = 1;
const META_INODE: u32 = 2;

/// Bytes for extended attributes in an inode (`DEFAULT_INLINE_XATTR_ADDRS`). All inodes have this
/// space, as in Linux with its default mount options.
const INLINE_XATTR: usize = 200;
/// Bytes for contents or directory entries in an inode (`MAX_INLINE_DATA`): all that is left of
/// its addresses, except one.
const INLINE_DATA: u64 = 4 * (INODE_BLOCKS - 1);
/// Addresses of blocks in an inode (`ADDRS_PER_INODE`). usize to u64: lossless.
const INODE_BLOCKS: u64 = (ondisk::ADDRESSES - INLINE_XATTR / 4) as u64;

/// The F2FS writer.
#[derive(Debug, Clone, Copy, Default)]
pub struct F2fs;

impl Format for F2fs {
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError> {
        Ok(Box::new(CountedTree {
            census: Arc::new(Census::new(tree, options)?),
            tree: Arc::clone(tree),
            options: options.clone(),
        }))
    }
}

/// A tree and the nodes and blocks that it needs.
struct CountedTree {
    tree: Arc<Tree>,
    census: Arc<Census>,
    options: Options,
}

impl Counted for CountedTree {
    fn plan(&self, length: u64) -> Result<Box<dyn Plan>, PlanError> {
        let limit = (MAX_SEGMENTS + 2) * SEGMENT_SIZE - 1;
        if length > limit {
            return Err(PlanError::Unrepresentable(vec![format!(
                "a file system of {length} bytes; this f2fs writer's limit is {limit} (16 TiB)"
            )]));
        }
        let layout = Geometry::new(length).and_then(|geometry| Layout::new(geometry, &self.census));
        let Some(layout) = layout else {
            return Err(PlanError::TooSmall {
                needed: size::smallest(&self.census, length, 0)?,
                inodes: self.census.inodes(),
                length,
            });
        };
        Ok(Box::new(plan::F2fsPlan::new(
            Arc::clone(&self.tree),
            Arc::clone(&self.census),
            layout,
            length,
            &self.options,
        )))
    }

    fn smallest(&self, free: u64) -> Result<u64, PlanError> {
        size::smallest(&self.census, 0, free)
    }
}
