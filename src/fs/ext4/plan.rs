//! A file system that is laid out, and its metadata, made when it is asked for.

use std::sync::Arc;

use anyhow::Result;

use super::allocate::Layout;
use super::census::Census;
use super::checksum::Seed;
use super::directory::{Target, Writer};
use super::extent::Run;
use super::inode_table::{Inodes, data_runs};
use super::sink::{Emit, Sink};
use super::superblock::{self, Superblock};
use super::xattr::Attributes;
use super::{BLOCK, BLOCK_SIZE, JOURNAL_INODE};
use super::{groups, hash_seed, journal, resize_inode};
use crate::fs::{DataExtent, DataSource, Options, Plan, Usage};
use crate::tree::{Directory, InodeId, Kind, Tree};

/// An ext4 file system with a tree in it.
pub struct Ext4Plan {
    tree: Arc<Tree>,
    census: Arc<Census>,
    layout: Layout,
    length: u64,
    options: Options,
    seed: Seed,
}

/// A part of the metadata that is not of the tree, with its first block.
enum Piece {
    Superblock(u64),
    BlockBitmap(u64),
    InodeBitmap(u64),
    InodeTable(u64),
    ResizeBlock,
    Journal,
}

impl Ext4Plan {
    /// The file system `layout`, in `length` bytes.
    pub fn new(
        tree: Arc<Tree>,
        census: Arc<Census>,
        layout: Layout,
        length: u64,
        options: &Options,
    ) -> Ext4Plan {
        Ext4Plan {
            tree,
            census,
            layout,
            length,
            options: options.clone(),
            seed: Seed::file_system(options.uuid.as_bytes()),
        }
    }

    /// Everything but what is of the tree, by block.
    fn pieces(&self) -> Vec<(u64, Piece)> {
        let geometry = &self.layout.geometry;
        let mut pieces: Vec<(u64, Piece)> = geometry
            .superblock_groups()
            .into_iter()
            .map(|group| (geometry.first_block(group), Piece::Superblock(group)))
            .collect();
        for (group, tables) in (0..geometry.groups).zip(&self.layout.tables) {
            if groups::has_block_bitmap(&self.layout, group) {
                pieces.push((tables.block_bitmap, Piece::BlockBitmap(group)));
            }
            if groups::inodes_used(&self.layout, &self.census, group) > 0 {
                pieces.push((tables.inode_bitmap, Piece::InodeBitmap(group)));
                pieces.push((tables.inode_table, Piece::InodeTable(group)));
            }
        }
        if let Some(block) = self.layout.resize_block {
            pieces.push((block, Piece::ResizeBlock));
        }
        if let Some(run) = self.layout.journal.first() {
            pieces.push((run.start, Piece::Journal));
        }
        pieces.sort_unstable_by_key(|&(block, _)| block);
        pieces
    }

    fn inodes(&self, first: u32) -> Inodes<'_> {
        Inodes::new(
            &self.tree,
            &self.census,
            &self.layout,
            &self.options,
            self.seed,
            first,
        )
    }
}

impl Plan for Ext4Plan {
    fn length(&self) -> u64 {
        self.length
    }

    fn usage(&self) -> Usage {
        let geometry = &self.layout.geometry;
        let to_root = self.layout.free.saturating_sub(geometry.kept_by_linux());
        Usage {
            length: self.length,
            available: to_root.saturating_sub(geometry.reserved) * BLOCK,
            available_to_root: to_root * BLOCK,
            inodes: geometry.inodes(),
            inodes_used: self.census.inodes(),
        }
    }

    fn data(&self) -> &[DataExtent] {
        &self.layout.data
    }

    fn source(&self, file: u32) -> Option<DataSource<'_>> {
        DataSource::of_tree(&self.tree, self.census.id(file)?)
    }

    fn metadata(&self, emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let geometry = &self.layout.geometry;
        let inodes = self.inodes(0);
        let journal = inodes.journal_inode().block;
        let mut writer = MetadataWriter {
            plan: self,
            superblock: Superblock {
                geometry,
                uuid: self.options.uuid,
                label: self.options.label.as_bytes(),
                hash_seed: hash_seed(self.options.uuid),
                time: self.options.time,
                free_blocks: self.layout.free,
                free_inodes: geometry.inodes() - self.census.inodes(),
                journal,
            },
            descriptors: groups::descriptors(&self.layout, &self.census, &self.tree, self.seed),
            pieces: self.pieces().into_iter().peekable(),
            sink: Sink::new(emit as &mut Emit<'_>),
        };
        writer.nodes(JOURNAL_INODE, &self.layout.journal)?;
        writer.holders()?;
        writer.file_nodes()?;
        writer.pieces_before(u64::MAX)?;
        writer.sink.flush()
    }
}

struct MetadataWriter<'a, 'b> {
    plan: &'a Ext4Plan,
    superblock: Superblock<'a>,
    descriptors: Vec<u8>,
    pieces: std::iter::Peekable<std::vec::IntoIter<(u64, Piece)>>,
    sink: Sink<'b>,
}

impl MetadataWriter<'_, '_> {
    /// Writes all pieces that begin before `block`.
    fn pieces_before(&mut self, block: u64) -> Result<()> {
        while let Some((at, piece)) = self.pieces.next_if(|&(at, _)| at < block) {
            self.piece(at, &piece)?;
        }
        Ok(())
    }

    fn piece(&mut self, at: u64, piece: &Piece) -> Result<()> {
        let layout = &self.plan.layout;
        match *piece {
            Piece::Superblock(group) => self.superblock(at, group),
            Piece::BlockBitmap(group) => match groups::block_bitmap(layout, group) {
                Some((bits, _)) => self.sink.blocks(at, &bits),
                None => Ok(()),
            },
            Piece::InodeBitmap(group) => {
                match groups::inode_bitmap(layout, &self.plan.census, group) {
                    Some(bits) => self.sink.blocks(at, &bits),
                    None => Ok(()),
                }
            }
            Piece::InodeTable(group) => self.inode_table(at, group),
            Piece::ResizeBlock => {
                let block = resize_inode::double_indirect(&layout.geometry);
                self.sink.blocks(at, &block)
            }
            Piece::Journal => {
                let uuid = self.plan.options.uuid.as_bytes();
                let block = journal::superblock(layout.geometry.journal_blocks, uuid);
                self.sink.blocks(at, &block)
            }
        }
    }

    fn superblock(&mut self, at: u64, group: u64) -> Result<()> {
        let geometry = &self.plan.layout.geometry;
        let superblock = self.superblock.encode(group);
        if group > 0 {
            self.sink.blocks(at, &superblock)?;
            return self.sink.blocks(at + 1, &self.descriptors);
        }
        // usize to u64: lossless.
        self.sink.bytes(superblock::LENGTH as u64, &superblock)?;
        self.sink.blocks(1, &self.descriptors)?;
        let reserved = 1 + geometry.descriptor_blocks;
        for place in reserved..reserved + geometry.reserved_descriptor_blocks {
            let block = resize_inode::indirect(geometry, place);
            self.sink.blocks(place, &block)?;
        }
        Ok(())
    }

    fn inode_table(&mut self, at: u64, group: u64) -> Result<()> {
        let plan = self.plan;
        let used = groups::inodes_used(&plan.layout, &plan.census, group);
        let first = group * plan.layout.geometry.inodes_per_group + 1;
        let mut inodes = plan.inodes(super::bytes::low32(first));
        for number in first..first + used {
            let inode = inodes.encode(super::bytes::low32(number));
            let offset = at * BLOCK + (number - first) * super::INODE_SIZE;
            self.sink.bytes(offset, &inode)?;
        }
        Ok(())
    }

    /// Directories, link targets and blocks of extended attributes.
    fn holders(&mut self) -> Result<()> {
        let plan = self.plan;
        for (at, holder) in plan.census.holders().iter().enumerate() {
            let id = plan.census.id(holder.number);
            if let Some(id) = id
                && holder.xattr_block
                && let Ok(attributes) = Attributes::new(&plan.tree.inode(id).metadata.xattrs)
            {
                let block = plan.layout.places[at].xattr_block;
                self.pieces_before(block)?;
                self.sink
                    .blocks(block, &attributes.block(block, plan.seed))?;
            }
            let runs = plan.layout.runs_of(at);
            match id.map(|id| &plan.tree.inode(id).kind) {
                Some(Kind::Symlink(target)) => {
                    for run in runs {
                        let mut block = vec![0; BLOCK_SIZE];
                        block[..target.len()].copy_from_slice(target);
                        self.pieces_before(run.start)?;
                        self.sink.blocks(run.start, &block)?;
                    }
                }
                Some(Kind::Directory(directory)) => self.directory(at, directory)?,
                None => self.directory(at, &Directory::default())?,
                Some(_) => {}
            }
            if holder.blocks > 0 {
                self.nodes(holder.number, runs)?;
            }
        }
        Ok(())
    }

    fn directory(&mut self, at: usize, directory: &Directory) -> Result<()> {
        let plan = self.plan;
        let holder = plan.census.holders()[at];
        let target = |at: usize| {
            let id = directory.nth(at).map_or(InodeId::ROOT, |(_, id)| id);
            Target::new(plan.census.number(id), &plan.tree.inode(id).kind)
        };
        let writer = Writer {
            number: holder.number,
            parent: holder.parent.max(super::ROOT_INODE),
            blocks: holder.blocks,
            names: plan.census.names(holder.number, directory),
            target: &target,
            seed: plan.seed.inode(holder.number),
            hash_seed: self.superblock.hash_seed,
        };
        let runs = plan.layout.runs_of(at);
        let mut places = runs
            .iter()
            .flat_map(|run| run.start..run.start + run.length);
        writer.write(&mut |block| {
            let Some(place) = places.next() else {
                anyhow::bail!("directory {} has more blocks than planned", holder.number);
            };
            self.pieces_before(place)?;
            self.sink.blocks(place, block)
        })
    }

    /// The nodes of the extent trees of files.
    fn file_nodes(&mut self) -> Result<()> {
        let plan = self.plan;
        let mut inodes = plan.inodes(0);
        for nodes in &plan.layout.nodes {
            let id = plan.census.id(nodes.number);
            if let Some(Kind::File(_)) = id.map(|id| &plan.tree.inode(id).kind) {
                let runs = data_runs(inodes.data(nodes.number));
                self.nodes(nodes.number, &runs)?;
            }
        }
        Ok(())
    }

    fn nodes(&mut self, number: u32, runs: &[Run]) -> Result<()> {
        let places = self.plan.layout.nodes_of(number);
        if places.is_empty() {
            return Ok(());
        }
        let tree = self.plan.inodes(number).extent_tree(number, runs);
        for (&place, node) in places.iter().zip(&tree.nodes) {
            self.pieces_before(place)?;
            self.sink.blocks(place, node)?;
        }
        Ok(())
    }
}
