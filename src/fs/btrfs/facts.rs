//! What is known about a tree, independent of the length of the file system.

use std::sync::Arc;

use super::census::Census;
use super::extents::{Extents, FileExtent};
use super::fs_tree::Files;
use super::root_tree::{Root, RootTree};
use super::trees::Uuids;
use crate::fs::{FinishedFile, Options};
use crate::tree::Tree;

/// Everything that is known about a tree.
pub struct Facts {
    /// The tree.
    pub tree: Arc<Tree>,
    /// Its inodes.
    pub census: Census,
    /// Its data.
    pub extents: Extents,
    /// The sums of all sectors of `extents`, or nothing.
    pub sums: Vec<u32>,
    /// The compressed data.
    pub compressed: Option<FinishedFile>,
    /// The number of the compression algorithm.
    pub compression: u8,
    /// Whether there are checksums of data.
    pub checksums: bool,
    /// UUID, label and time.
    pub options: Options,
    /// All UUIDs.
    pub uuids: Uuids,
}

impl Facts {
    /// What the trees of subvolumes are made of.
    pub fn files(&self) -> Files<'_> {
        Files {
            tree: &self.tree,
            census: &self.census,
            extents: &self.extents,
            compression: self.compression,
            checksums: self.checksums,
        }
    }

    /// What the root tree is made of. `root` returns the root of a tree.
    pub fn root_tree<'a>(&'a self, root: &'a dyn Fn(u64) -> Root) -> RootTree<'a> {
        RootTree {
            tree: &self.tree,
            census: &self.census,
            uuids: &self.uuids,
            time: self.options.time,
            root,
        }
    }

    /// The extents with checksums.
    pub fn summed(&self) -> &[FileExtent] {
        match self.checksums {
            true => &self.extents.all,
            false => &[],
        }
    }

    /// The numbers of all subvolumes.
    pub fn subvolumes(&self) -> impl Iterator<Item = u64> + '_ {
        let all = self.census.subvolumes().iter();
        all.map(|subvolume| subvolume.number)
    }
}
