//! A completely laid out file system, whose metadata is generated on demand.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use zerocopy::IntoBytes;

use super::btree::{Identity, Items, Shape, TreeWriter};
use super::extent_tree::{self, Node};
use super::extents::COMPRESSED;
use super::facts::Facts;
use super::fs_tree::{self, InlineData};
use super::layout::{ChunkPlace, Layout, NodePlaces};
use super::ondisk::{NODE_SIZE, block_group, objects};
use super::reading::{InlineReader, Part};
use super::root_tree::Root;
use super::sink::{Emit, NodeWriter, Superblocks};
use super::superblock::Superblock;
use super::trees::{self, Used};
use crate::fs::number::index;
use crate::fs::source::read;
use crate::fs::{DataExtent, DataSource, Plan, Usage};
use crate::tree::InodeId;

/// A tree and the numbers of its nodes.
#[derive(Debug, Clone)]
struct Placed {
    /// The number of the tree.
    owner: u64,
    /// The number of its first node.
    first: u64,
    shape: Shape,
}

impl Placed {
    /// Its nodes, sorted by address.
    fn nodes<'a>(&'a self, places: &'a NodePlaces) -> impl Iterator<Item = Node> + 'a {
        let mut next = self.first;
        let levels = (0..).zip(self.shape.levels());
        levels.flat_map(move |(level, count)| {
            let numbers = next..next + count;
            next += count;
            numbers.filter_map(move |number| {
                Some(Node {
                    address: places.run(number)?.address(number),
                    owner: self.owner,
                    level,
                })
            })
        })
    }

    /// The place of its root.
    ///
    /// # Errors
    /// If it has none, which is a bug.
    fn root(&self, places: &NodePlaces) -> Result<Root> {
        let nodes = self.shape.nodes();
        let last = self.first + nodes.saturating_sub(1);
        let run = places
            .run(last)
            .context("a tree has no root: this is a bug")?;
        Ok(Root {
            address: run.address(last),
            level: self.shape.height()?,
            nodes,
        })
    }
}

/// A btrfs file system with a tree in it.
pub struct BtrfsPlan {
    facts: Arc<Facts>,
    layout: Layout,
    /// Where nodes can be, except those of the chunk tree.
    places: NodePlaces,
    /// All trees except the chunk tree, in the order in which they are stored.
    trees: Vec<Placed>,
    chunk_tree: Placed,
    /// Where nodes of the chunk tree can be.
    system: NodePlaces,
    /// The length of the file system, of which btrfs uses whole sectors.
    length: u64,
    available: u64,
}

impl BtrfsPlan {
    /// Makes the plan of a file system with the chunks `layout` and the trees `fixed`, which do not
    /// depend on the layout.
    ///
    /// # Errors
    /// If the trees do not fit, which is a bug.
    pub fn new(
        facts: Arc<Facts>,
        fixed: &[(u64, Shape)],
        layout: Layout,
        length: u64,
        available: u64,
    ) -> Result<BtrfsPlan> {
        let mut trees: Vec<Placed> = Vec::new();
        let mut first = 0;
        let mut add = |owner, shape: Shape| {
            let nodes = shape.nodes();
            trees.push(Placed {
                owner,
                first,
                shape,
            });
            first += nodes;
        };
        for (owner, shape) in fixed {
            add(*owner, shape.clone());
        }
        let uuids = facts.uuids;
        let device = Shape::of(|out| trees::device_tree(&layout, &uuids, out))?;
        add(objects::DEV_TREE, device);
        let chunk_tree = Shape::of(|out| trees::chunk_tree(&layout, &uuids, out))?;
        let one = Shape::of(|_| Ok(()))?;
        add(objects::FREE_SPACE_TREE, one.clone());
        add(objects::EXTENT_TREE, one);
        let mut plan = BtrfsPlan {
            places: layout.nodes(block_group::METADATA),
            system: layout.nodes(block_group::SYSTEM),
            chunk_tree: Placed {
                owner: objects::CHUNK_TREE,
                first: 0,
                shape: chunk_tree,
            },
            facts,
            layout,
            trees,
            length,
            available,
        };
        plan.settle()?;
        Ok(plan)
    }

    /// Finds the shapes of the last two trees, which describe their own nodes.
    fn settle(&mut self) -> Result<()> {
        loop {
            let free_space = Shape::of(|out| self.free_space_tree(out))?;
            let extent = Shape::of(|out| self.extent_tree(out))?;
            let mut changed = false;
            let mut first = 0;
            for tree in &mut self.trees {
                let shape = match tree.owner {
                    objects::FREE_SPACE_TREE => &free_space,
                    objects::EXTENT_TREE => &extent,
                    _ => &tree.shape,
                };
                // They only grow, so that this ends.
                if shape.nodes() > tree.shape.nodes() {
                    tree.shape = shape.clone();
                    changed = true;
                } else {
                    ensure!(
                        *shape == tree.shape,
                        "the trees of the btrfs file system do not settle: this is a bug"
                    );
                }
                tree.first = first;
                first += tree.shape.nodes();
            }
            ensure!(
                self.places.run(first.saturating_sub(1)).is_some(),
                "the metadata of the btrfs file system does not fit: this is a bug"
            );
            if !changed {
                return Ok(());
            }
        }
    }

    fn nodes_end(&self) -> u64 {
        let last = self.trees.last();
        last.map_or(0, |tree| tree.first + tree.shape.nodes())
    }

    /// The addresses of all nodes that are in use, the chunk tree's first.
    fn node_ranges(&self) -> Vec<Range<u64>> {
        let used = |places: &NodePlaces, end: u64| -> Vec<Range<u64>> {
            let runs = places.runs.iter().filter(|run| run.first < end);
            runs.map(|run| {
                let count = run.end().min(end) - run.first;
                run.addresses.start..run.addresses.start + count * NODE_SIZE
            })
            .collect()
        };
        let mut ranges = used(&self.system, self.chunk_tree.shape.nodes());
        ranges.extend(used(&self.places, self.nodes_end()));
        ranges
    }

    /// All nodes, sorted by address.
    fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        let chunk_tree = std::iter::once((&self.chunk_tree, &self.system));
        let others = self.trees.iter().map(|tree| (tree, &self.places));
        chunk_tree
            .chain(others)
            .flat_map(|(tree, places)| tree.nodes(places))
    }

    /// All chunks, with the number of bytes in use in each.
    fn chunks(&self) -> Vec<(ChunkPlace, u64)> {
        let nodes = self.node_ranges();
        let used = self.used(&nodes);
        let chunks = self.layout.chunks.iter();
        chunks.map(|chunk| (*chunk, used.bytes(chunk))).collect()
    }

    fn used<'a>(&'a self, nodes: &'a [Range<u64>]) -> Used<'a> {
        Used {
            extents: &self.facts.extents.all,
            nodes,
        }
    }

    fn free_space_tree(&self, out: &mut Items<'_>) -> Result<()> {
        let nodes = self.node_ranges();
        trees::free_space_tree(&self.layout, &self.used(&nodes), out)
    }

    fn extent_tree(&self, out: &mut Items<'_>) -> Result<()> {
        extent_tree::items(
            &self.chunks(),
            self.nodes(),
            &self.facts.extents.all,
            &self.facts.census,
            out,
        )
    }

    /// Writes one tree.
    fn tree(
        &self,
        tree: &Placed,
        places: &NodePlaces,
        writer: &mut NodeWriter<'_, '_>,
        items: impl FnOnce(&mut Items<'_>) -> Result<()>,
    ) -> Result<()> {
        let address = |number: u64| {
            let number = tree.first + number;
            let run = places.run(number).context("there is no place for a node")?;
            Ok(run.address(number))
        };
        let uuids = &self.facts.uuids;
        TreeWriter {
            identity: Identity {
                fsid: uuids.fsid.into_bytes(),
                chunk_tree: uuids.chunk_tree.into_bytes(),
            },
            owner: tree.owner,
            address: &address,
            sink: &mut |node| writer.node(node),
        }
        .write(&tree.shape, items)
    }

    /// Passes on the items of the tree `owner`. `root` returns the root of every tree.
    fn items(&self, owner: u64, root: &dyn Fn(u64) -> Root, out: &mut Items<'_>) -> Result<()> {
        let facts = &self.facts;
        match owner {
            objects::EXTENT_TREE => self.extent_tree(out),
            objects::FREE_SPACE_TREE => self.free_space_tree(out),
            objects::DEV_TREE => trees::device_tree(&self.layout, &facts.uuids, out),
            objects::CSUM_TREE => trees::csum_tree(facts.summed(), &facts.sums, out),
            objects::UUID_TREE => trees::uuid_tree(facts.subvolumes(), &facts.uuids, out),
            objects::DATA_RELOC_TREE => trees::data_reloc_tree(facts.options.time, out),
            objects::ROOT_TREE => facts.root_tree(root).items(out),
            _ => {
                let mut all = facts.census.subvolumes().iter();
                let subvolume = all.find(|subvolume| subvolume.number == owner);
                let subvolume = subvolume.context("there is no such subvolume")?;
                let mut inline = PlannedData {
                    facts,
                    files: InlineReader::new(&facts.tree),
                };
                fs_tree::items(facts.files(), subvolume, &mut inline, out)
            }
        }
    }
}

/// The data in inodes' items.
struct PlannedData<'a> {
    facts: &'a Facts,
    files: InlineReader<'a>,
}

impl InlineData for PlannedData<'_> {
    fn whole(&mut self, id: InodeId, bytes: &mut Vec<u8>) -> Result<()> {
        self.files.read(id, bytes)
    }

    fn compressed(&mut self, part: Part, bytes: &mut Vec<u8>) -> Result<()> {
        let file = self.facts.compressed.as_ref();
        let file = file.context("there is no compressed data")?;
        bytes.resize(index(part.length.into()), 0);
        read(file.file(), || file.path().to_owned(), bytes, part.offset)
    }
}

impl Plan for BtrfsPlan {
    fn length(&self) -> u64 {
        self.length
    }

    fn usage(&self) -> Usage {
        // usize to u64: lossless.
        let inodes = self.facts.census.ids().len() as u64;
        Usage {
            length: self.length,
            available: self.available,
            available_to_root: self.available,
            // There is no limit.
            inodes: 0,
            inodes_used: inodes,
        }
    }

    fn data(&self) -> &[DataExtent] {
        &self.facts.extents.data
    }

    fn source(&self, file: u32) -> Option<DataSource<'_>> {
        if file == COMPRESSED {
            return self.facts.compressed.as_ref().map(DataSource::Finished);
        }
        let id = self.facts.census.id(file.checked_sub(1)?)?;
        DataSource::of_tree(&self.facts.tree, id)
    }

    fn metadata(&self, emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let mut roots = Vec::with_capacity(self.trees.len());
        for tree in &self.trees {
            roots.push((tree.owner, tree.root(&self.places)?));
        }
        roots.sort_unstable_by_key(|&(owner, _)| owner);
        let root = |number| {
            let at = roots.binary_search_by_key(&number, |&(owner, _)| owner);
            at.map_or(Root::default(), |at| roots[at].1)
        };
        let used: u64 = self.chunks().iter().map(|(_, used)| used).sum();
        let superblock = Superblock {
            layout: &self.layout,
            uuids: &self.facts.uuids,
            label: self.facts.options.label.as_bytes(),
            used,
            zstd: self.facts.compression == super::ondisk::compression::ZSTD,
            chunk_root: self.chunk_tree.root(&self.system)?,
            root: root(objects::ROOT_TREE),
            roots: &root,
        };
        let encode = |offset| Ok(superblock.encode(offset)?.as_bytes().to_vec());
        let mut superblocks = Superblocks::new(self.layout.length, &encode, emit as &mut Emit<'_>);

        let mut writer = NodeWriter::new(&self.layout, &self.system, &mut superblocks);
        self.tree(&self.chunk_tree, &self.system, &mut writer, |out| {
            trees::chunk_tree(&self.layout, &self.facts.uuids, out)
        })?;
        writer.finish()?;
        let mut writer = NodeWriter::new(&self.layout, &self.places, &mut superblocks);
        for tree in &self.trees {
            self.tree(tree, &self.places, &mut writer, |out| {
                self.items(tree.owner, &root, out)
            })?;
        }
        writer.finish()?;
        superblocks.finish()
    }
}
