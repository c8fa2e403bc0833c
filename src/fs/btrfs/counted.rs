//! A tree and everything about it that does not depend on the length of the file system.

use std::sync::Arc;

use anyhow::Result;

use super::btree::Shape;
use super::census::Census;
use super::extents::{Extents, FileExtent};
use super::fs_tree::{self, Files, Lengths};
use super::layout::{DATA_CHUNK, DATA_START, METADATA_CHUNK, Needs};
use super::ondisk::{NODE_SIZE, objects};
use super::plan::BtrfsPlan;
use super::root_tree::{Root, RootTree};
use super::trees::{self, Uuids};
use crate::fs::{Counted, FinishedFile, Options, Plan, PlanError};
use crate::tree::Tree;

/// The longest file system that is made: 16 TiB. Its chunk tree takes at most a quarter of the system
/// chunk.
pub const LONGEST: u64 = 16 << 40;

/// The least that Linux reserves for itself (`btrfs_update_global_block_rsv`): room to change every
/// level of 16 items, twice.
const LEAST_RESERVE: u64 = 22 * 16 * NODE_SIZE;
/// The most of it.
const MOST_RESERVE: u64 = 512 << 20;
/// Room for transactions, in addition.
const WORKING: u64 = 8 << 20;

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

/// A tree whose needs are known.
pub struct CountedTree {
    facts: Arc<Facts>,
    /// The trees that do not depend on the layout, in the order in which they are stored.
    fixed: Vec<(u64, Shape)>,
    needs: Needs,
}

impl CountedTree {
    /// Counts the nodes of all trees.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn new(facts: Facts) -> Result<CountedTree> {
        let mut fixed = Vec::new();
        for subvolume in facts.census.subvolumes() {
            let mut lengths = Lengths(&facts.tree);
            let shape =
                Shape::of(|out| fs_tree::items(facts.files(), subvolume, &mut lengths, out))?;
            fixed.push((subvolume.number, shape));
        }
        let sums = Shape::of(|out| trees::csum_tree(facts.summed(), &facts.sums, out))?;
        let sum_nodes = sums.nodes();
        fixed.push((objects::CSUM_TREE, sums));
        let uuids = Shape::of(|out| trees::uuid_tree(facts.subvolumes(), &facts.uuids, out))?;
        fixed.push((objects::UUID_TREE, uuids));
        let time = facts.options.time;
        let reloc = Shape::of(|out| trees::data_reloc_tree(time, out))?;
        fixed.push((objects::DATA_RELOC_TREE, reloc));
        let no_root = |_| Root::default();
        let root = Shape::of(|out| facts.root_tree(&no_root).items(out))?;
        let root_nodes = root.nodes();
        fixed.push((objects::ROOT_TREE, root));

        let nodes: u64 = fixed.iter().map(|(_, shape)| shape.nodes()).sum();
        let others = Others::of(nodes, &facts.extents);
        let reserve = (root_nodes + sum_nodes + others.extent + others.free_space) * NODE_SIZE;
        let needs = Needs {
            data_end: facts.extents.end,
            metadata: (nodes + others.all()) * NODE_SIZE,
            working: reserve.clamp(LEAST_RESERVE, MOST_RESERVE) + WORKING,
        };
        Ok(CountedTree {
            facts: Arc::new(facts),
            fixed,
            needs,
        })
    }

    fn unrepresentable(&self, length: u64) -> PlanError {
        PlanError::Unrepresentable(vec![format!(
            "a file system of {length} bytes; this btrfs writer's limit is {LONGEST} (16 TiB)"
        )])
    }
}

/// Upper bounds of the numbers of nodes of the trees that depend on the layout.
struct Others {
    extent: u64,
    device: u64,
    free_space: u64,
}

impl Others {
    fn all(&self) -> u64 {
        self.extent + self.device + self.free_space
    }

    /// The bounds for a file system with `nodes` nodes in the other trees.
    fn of(nodes: u64, extents: &Extents) -> Others {
        // The sizes of items with their headers. The rest of a leaf is shorter than the longest one.
        const EXTENT: u64 = 78;
        const DEVICE: u64 = 73;
        const FREE: u64 = 33;
        const LEAF: u64 = 16_283 - 80;
        // usize to u64: lossless.
        let data = extents.all.len() as u64;
        // A gap comes before an extent that did not fit, after the last one, and around a superblock.
        let mut others = Others {
            extent: 1,
            device: 1,
            free_space: 1,
        };
        // The extent tree describes its own nodes, too. This converges quickly.
        loop {
            let all = nodes + others.all();
            let data_chunks = (extents.end - DATA_START) / DATA_CHUNK + 1;
            let chunks = data_chunks + all * NODE_SIZE / METADATA_CHUNK + 2;
            let next = Others {
                extent: with_upper_levels(((data + all + chunks) * EXTENT).div_ceil(LEAF) + 1),
                device: with_upper_levels((2 * chunks * DEVICE).div_ceil(LEAF) + 1),
                free_space: with_upper_levels(((3 * chunks + 8) * FREE).div_ceil(LEAF) + 1),
            };
            if next.all() <= others.all() {
                return next;
            }
            others = next;
        }
    }
}

/// Adds an upper bound of the nodes above `leaves` leaves.
fn with_upper_levels(leaves: u64) -> u64 {
    leaves + leaves.div_ceil(400) + 7
}

impl Counted for CountedTree {
    fn plan(&self, length: u64) -> Result<Box<dyn Plan>, PlanError> {
        if length > LONGEST {
            return Err(self.unrepresentable(length));
        }
        let Some(layout) = self.needs.lay_out(length) else {
            return Err(PlanError::TooSmall {
                needed: self.needs.smallest(),
                // usize to u64: lossless.
                inodes: self.facts.census.ids().len() as u64,
                length,
            });
        };
        let available = self.needs.available(length).unwrap_or(0);
        let facts = Arc::clone(&self.facts);
        Ok(Box::new(BtrfsPlan::new(
            facts,
            &self.fixed,
            layout,
            length,
            available,
        )?))
    }

    fn smallest(&self, free: u64) -> Result<u64, PlanError> {
        let smallest = self.needs.smallest_with(free, LONGEST);
        smallest.ok_or_else(|| self.unrepresentable(self.needs.smallest().saturating_add(free)))
    }
}
