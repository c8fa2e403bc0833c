//! A completely laid out file system, whose metadata is generated on demand.

use std::sync::Arc;

use anyhow::Result;
use zerocopy::{FromZeros, IntoBytes};

use super::allocate::{Layout, MapBlocks};
use super::census::Census;
use super::checksum::Seed;
use super::directory::{Target, Writer};
use super::extent::Extent;
use super::inode_table::{Inodes, data_extents};
use super::ondisk::{BLOCK_SIZE, Block, SuperBlock, put};
use super::superblock::Superblock;
use super::xattr::Attributes;
use super::{INODE_SIZE, JOURNAL_INODE, ROOT_INODE};
use super::{block_map, groups, hash_seed, journal, resize_inode};
use crate::fs::sink::{Emit, Sink};
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

/// A part of the metadata that does not come from the tree, identified by its group where there are
/// several of a kind.
enum Piece {
    Superblock(u64),
    BlockBitmap(u64),
    InodeBitmap(u64),
    InodeTable(u64),
    ResizeBlock,
    Journal,
}

impl Ext4Plan {
    /// Makes the plan of a file system of `length` bytes with the layout `layout`.
    pub fn new(
        tree: Arc<Tree>,
        census: Arc<Census>,
        layout: Layout,
        length: u64,
        options: &Options,
    ) -> Ext4Plan {
        let features = census.features;
        Ext4Plan {
            tree,
            census,
            layout,
            length,
            options: options.clone(),
            seed: match features.metadata_csum() {
                true => Seed::file_system(options.uuid.as_bytes()),
                false => Seed::NONE,
            },
        }
    }

    /// Returns all metadata that does not come from the tree, as (first block, piece) in ascending
    /// order.
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
            let used = groups::inodes_used(&self.layout, &self.census, group);
            if used > 0 || !geometry.features.metadata_csum() {
                pieces.push((tables.inode_bitmap, Piece::InodeBitmap(group)));
            }
            if used > 0 {
                pieces.push((tables.inode_table, Piece::InodeTable(group)));
            }
        }
        if let Some(block) = self.layout.resize_block {
            pieces.push((block, Piece::ResizeBlock));
        }
        if let Some(extent) = self.layout.journal.first() {
            pieces.push((extent.physical, Piece::Journal));
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
        let to_root = self
            .layout
            .free
            .saturating_sub(geometry.reserved_by_linux());
        Usage {
            length: self.length,
            available: to_root.saturating_sub(geometry.reserved) * BLOCK_SIZE,
            available_to_root: to_root * BLOCK_SIZE,
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
        let journal = inodes.journal_inode()?.block;
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
            descriptors: groups::descriptors(&self.layout, &self.census, &self.tree, self.seed)?,
            pieces: self.pieces().into_iter().peekable(),
            sink: Sink::new(emit as &mut Emit<'_>),
        };
        writer.map(JOURNAL_INODE, self.layout.journal.iter().copied())?;
        writer.holders()?;
        writer.maps_of_files()?;
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
                let block = resize_inode::double_indirect(&layout.geometry)?;
                self.sink.blocks(at, block.as_bytes())
            }
            Piece::Journal => {
                let uuid = self.plan.options.uuid.as_bytes();
                let mut block = Block::new_zeroed();
                let superblock = journal::superblock(layout.geometry.journal_blocks, uuid)?;
                put(&mut block, 0, &superblock);
                self.sink.blocks(at, &block)
            }
        }
    }

    fn superblock(&mut self, at: u64, group: u64) -> Result<()> {
        let geometry = &self.plan.layout.geometry;
        let superblock = self.superblock.encode(group)?;
        if group > 0 {
            self.sink.blocks(at, superblock.as_bytes())?;
            return self.sink.blocks(at + 1, &self.descriptors);
        }
        self.sink.bytes(SuperBlock::OFFSET, superblock.as_bytes())?;
        self.sink.blocks(1, &self.descriptors)?;
        let reserved = 1 + geometry.descriptor_blocks;
        for place in reserved..reserved + geometry.reserved_descriptor_blocks {
            let block = resize_inode::indirect(geometry, place)?;
            self.sink.blocks(place, block.as_bytes())?;
        }
        Ok(())
    }

    fn inode_table(&mut self, at: u64, group: u64) -> Result<()> {
        let plan = self.plan;
        let used = groups::inodes_used(&plan.layout, &plan.census, group);
        let first = group * plan.layout.geometry.inodes_per_group + 1;
        let mut inodes = plan.inodes(u32::try_from(first)?);
        for number in first..first + used {
            let record = inodes.encode(u32::try_from(number)?)?;
            let offset = at * BLOCK_SIZE + (number - first) * INODE_SIZE;
            self.sink.bytes(offset, record.as_bytes())?;
        }
        Ok(())
    }

    /// Writes directories, link targets and blocks of extended attributes.
    fn holders(&mut self) -> Result<()> {
        let plan = self.plan;
        for (at, holder) in plan.census.holders().iter().enumerate() {
            let id = plan.census.id(holder.number);
            if let Some(id) = id
                && holder.xattr_block
                && let Ok(attributes) =
                    Attributes::new(&plan.tree.inode(id).metadata.xattrs, plan.census.features)
            {
                let block = plan.layout.places[at].xattr_block;
                self.pieces_before(block)?;
                self.sink
                    .blocks(block, &attributes.block(block, plan.seed)?)?;
            }
            let extents = plan.layout.extents_of(at);
            match id.map(|id| &plan.tree.inode(id).kind) {
                Some(Kind::Symlink(target)) => {
                    for extent in extents {
                        let mut block = Block::new_zeroed();
                        put(&mut block, 0, &**target);
                        self.pieces_before(extent.physical)?;
                        self.sink.blocks(extent.physical, &block)?;
                    }
                }
                Some(Kind::Directory(directory)) => self.directory(at, directory)?,
                None => self.directory(at, &Directory::default())?,
                Some(_) => {}
            }
            if holder.blocks > 0 {
                self.map(holder.number, extents.iter().copied())?;
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
            parent: holder.parent.max(ROOT_INODE),
            blocks: holder.blocks,
            names: plan.census.names(holder.number, directory),
            target: &target,
            seed: plan.seed.inode(holder.number),
            hash_seed: self.superblock.hash_seed,
        };
        let extents = plan.layout.extents_of(at);
        let mut places = extents.iter().flat_map(Extent::blocks);
        writer.write(&mut |block| {
            let Some(place) = places.next() else {
                anyhow::bail!("directory {} has more blocks than planned", holder.number);
            };
            self.pieces_before(place)?;
            self.sink.blocks(place, block)
        })
    }

    /// Writes the blocks of the extent trees or block maps of files.
    fn maps_of_files(&mut self) -> Result<()> {
        let plan = self.plan;
        let mut inodes = plan.inodes(0);
        for &MapBlocks { number, .. } in &plan.layout.maps {
            let id = plan.census.id(number);
            if let Some(Kind::File(_)) = id.map(|id| &plan.tree.inode(id).kind) {
                let extents = data_extents(inodes.data(number));
                self.map(number, extents)?;
            }
        }
        Ok(())
    }

    /// Writes the blocks that map those of the inode `number`, whose contents are in `extents`.
    fn map(&mut self, number: u32, extents: impl Iterator<Item = Extent>) -> Result<()> {
        let places = self.plan.layout.map_of(number);
        if places.is_empty() {
            return Ok(());
        }
        if !self.plan.census.features.extents() {
            block_map::write(extents, places, &mut |place, block| {
                self.pieces_before(place)?;
                self.sink.blocks(place, block)
            })?;
            return Ok(());
        }
        let tree = self.plan.inodes(number).extent_tree(number, extents)?;
        for (&place, block) in places.iter().zip(&tree.blocks) {
            self.pieces_before(place)?;
            self.sink.blocks(place, block)?;
        }
        Ok(())
    }
}
