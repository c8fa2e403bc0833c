//! Generation of the inodes in the inode table.

use anyhow::Result;
use zerocopy::IntoBytes;

use super::allocate::Layout;
use super::census::{Census, FAST_SYMLINK, Holder};
use super::checksum::Seed;
use super::extent::{Extent, ExtentTree};
use super::inode::{self, Fields};
use super::ondisk::{BLOCK_SIZE, IBlock, InodeRecord, i_flags, i_mode, put};
use super::resize_inode;
use super::xattr::Attributes;
use super::{BAD_BLOCKS_INODE, JOURNAL_INODE, LOST_FOUND_INODE, RESIZE_INODE, block_map};
use crate::fs::number::{TooWide, le32};
use crate::fs::{DataExtent, Options};
use crate::tree::{InodeId, Kind, Metadata, Tree};

/// Generates inodes. Their numbers must increase from one call to the next, which avoids searches.
pub struct Inodes<'a> {
    pub tree: &'a Tree,
    pub census: &'a Census,
    pub layout: &'a Layout,
    pub options: &'a Options,
    pub seed: Seed,
    /// Indices of the next holder and of the next data extent.
    next_holder: usize,
    next_data: usize,
}

/// Returns the extents of `data`, which must belong to a single file.
pub fn data_extents(data: &[DataExtent]) -> impl Iterator<Item = Extent> + Clone {
    data.iter().map(|extent| Extent {
        logical: extent.file_offset / BLOCK_SIZE,
        physical: extent.offset / BLOCK_SIZE,
        length: extent.length.div_ceil(BLOCK_SIZE),
    })
}

impl<'a> Inodes<'a> {
    /// Makes a generator of inodes that starts at the inode `first`.
    pub fn new(
        tree: &'a Tree,
        census: &'a Census,
        layout: &'a Layout,
        options: &'a Options,
        seed: Seed,
        first: u32,
    ) -> Inodes<'a> {
        Inodes {
            tree,
            census,
            layout,
            options,
            seed,
            next_holder: census
                .holders()
                .partition_point(|holder| holder.number < first),
            next_data: layout.data.partition_point(|data| data.file < first),
        }
    }

    /// Returns the inode `number`, which must not be lower than in earlier calls.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn encode(&mut self, number: u32) -> Result<InodeRecord> {
        let holder = self.holder(number);
        if let Some(id) = self.census.id(number) {
            return self.tree_inode(number, id, holder);
        }
        match number {
            BAD_BLOCKS_INODE => {
                let time = Some(self.options.time);
                Ok(inode::unused(number, time, self.seed))
            }
            RESIZE_INODE if let Some(block) = self.layout.resize_block => self.resize_inode(block),
            JOURNAL_INODE if !self.layout.journal.is_empty() => {
                self.journal_inode()?.encode(number, None, self.seed)
            }
            LOST_FOUND_INODE => {
                let mut fields = self.fields(i_mode::DIRECTORY, &Metadata::new(0o700));
                fields.time = self.options.time;
                fields.links = 2;
                self.own_blocks(&mut fields, number, holder)?;
                fields.encode(number, None, self.seed)
            }
            _ => Ok(inode::unused(number, None, self.seed)),
        }
    }

    /// Returns the journal's inode.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn journal_inode(&self) -> Result<Fields> {
        let mut fields = self.fields(i_mode::FILE, &Metadata::new(0o600));
        fields.time = self.options.time;
        fields.size = self.layout.geometry.journal_blocks * BLOCK_SIZE;
        let journal = self.layout.journal.iter().copied();
        self.extents(&mut fields, JOURNAL_INODE, journal)?;
        Ok(fields)
    }

    /// Returns the extent tree of the inode `number` with the blocks `extents`.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn extent_tree(
        &self,
        number: u32,
        extents: impl Iterator<Item = Extent>,
    ) -> Result<ExtentTree, TooWide> {
        let places = self.layout.map_of(number);
        ExtentTree::new(extents, places, self.seed.inode(number))
    }

    /// Returns the data extents of the inode `number`, which must not be lower than in earlier
    /// calls.
    pub fn data(&mut self, number: u32) -> &'a [DataExtent] {
        let data = &self.layout.data[self.next_data..];
        let before = data.iter().take_while(|data| data.file < number).count();
        let own = data[before..]
            .iter()
            .take_while(|data| data.file == number)
            .count();
        self.next_data += before + own;
        &data[before..before + own]
    }

    fn holder(&mut self, number: u32) -> Option<(usize, &'a Holder)> {
        let at = self.next_holder;
        let holder = self.census.holders().get(at)?;
        if holder.number != number {
            return None;
        }
        self.next_holder += 1;
        Some((at, holder))
    }

    fn resize_inode(&self, block: u64) -> Result<InodeRecord> {
        let mut fields = self.fields(i_mode::FILE, &Metadata::new(0o600));
        fields.time = self.options.time;
        fields.size = resize_inode::SIZE;
        fields.blocks = resize_inode::blocks(&self.layout.geometry);
        fields.block[resize_inode::DOUBLE_INDIRECT] = le32(block)?;
        fields.encode(RESIZE_INODE, None, self.seed)
    }

    fn tree_inode(
        &mut self,
        number: u32,
        id: InodeId,
        holder: Option<(usize, &Holder)>,
    ) -> Result<InodeRecord> {
        let inode = self.tree.inode(id);
        let metadata = &inode.metadata;
        let mut fields = self.fields(0, metadata);
        match &inode.kind {
            Kind::Directory(_) => {
                fields.mode |= i_mode::DIRECTORY;
                self.own_blocks(&mut fields, number, holder)?;
                let subdirectories = holder.map_or(0, |(_, holder)| holder.subdirectories);
                fields.links = match 2 + subdirectories {
                    links if links <= self.census.features.max_links => links,
                    _ => 1,
                };
            }
            Kind::File(content) => {
                fields.mode |= i_mode::FILE;
                fields.size = content.size;
                let extents = data_extents(self.data(number));
                self.extents(&mut fields, number, extents)?;
            }
            Kind::Symlink(target) => {
                fields.mode |= i_mode::SYMLINK;
                if target.len() < FAST_SYMLINK {
                    put(fields.block.as_mut_bytes(), 0, &**target);
                } else {
                    self.own_blocks(&mut fields, number, holder)?;
                }
                // usize to u64: lossless.
                fields.size = target.len() as u64;
            }
            Kind::Fifo => fields.mode |= i_mode::FIFO,
            Kind::Socket => fields.mode |= i_mode::SOCKET,
            Kind::CharacterDevice(device) => {
                fields.mode |= i_mode::CHARACTER_DEVICE;
                fields.block = inode::device(*device)?;
            }
            Kind::BlockDevice(device) => {
                fields.mode |= i_mode::BLOCK_DEVICE;
                fields.block = inode::device(*device)?;
            }
        }
        if !matches!(inode.kind, Kind::Directory(_)) {
            fields.links = self.census.links(number);
        }
        if let Some((
            at,
            Holder {
                xattr_block: true, ..
            },
        )) = holder
        {
            fields.xattr_block = self.layout.places[at].xattr_block;
            fields.blocks += 1;
        }
        // The census has checked that the attributes are valid.
        let attributes = match metadata.xattrs.is_empty() {
            true => None,
            false => Attributes::new(&metadata.xattrs, self.census.features).ok(),
        };
        fields.encode(number, attributes.as_ref(), self.seed)
    }

    /// Sets size, flags and blocks of a directory or long link target.
    fn own_blocks(
        &self,
        fields: &mut Fields,
        number: u32,
        holder: Option<(usize, &Holder)>,
    ) -> Result<()> {
        let Some((at, holder)) = holder else {
            return Ok(());
        };
        fields.size = holder.blocks * BLOCK_SIZE;
        let extents = self.layout.extents_of(at).iter().copied();
        self.extents(fields, number, extents)?;
        let is_indexed = self
            .census
            .id(number)
            .and_then(|id| self.tree.directory(id))
            .is_some_and(|directory| self.census.names(number, directory).is_indexed());
        if is_indexed {
            fields.flags |= i_flags::INDEX;
        }
        Ok(())
    }

    fn extents(
        &self,
        fields: &mut Fields,
        number: u32,
        extents: impl Iterator<Item = Extent> + Clone,
    ) -> Result<()> {
        let data: u64 = extents.clone().map(|extent| extent.length).sum();
        let places = self.layout.map_of(number);
        // usize to u64: lossless.
        fields.blocks = data + places.len() as u64;
        if self.census.features.extents() {
            fields.flags |= i_flags::EXTENTS;
            fields.block = self.extent_tree(number, extents)?.root;
        } else {
            fields.block = block_map::write(extents, places, &mut |_, _| Ok(()))?;
        }
        Ok(())
    }

    fn fields(&self, kind: u16, metadata: &Metadata) -> Fields {
        Fields {
            mode: kind | metadata.mode & 0o7777,
            uid: metadata.uid,
            gid: metadata.gid,
            size: 0,
            links: 1,
            blocks: 0,
            flags: metadata.flags.bits(),
            time: metadata.mtime,
            block: IBlock::default(),
            xattr_block: 0,
        }
    }
}
