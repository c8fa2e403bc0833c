//! What is in each inode, and the blocks of inodes other than the data of files.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::attribute::{Attributes, remote};
use super::census::{Census, Holder, REALTIME, forks};
use super::directory::{Shape, Target, Writer, type_of};
use super::extent::{self, Encoded, Extent};
use super::forks::Forks;
use super::head::Head;
use super::inode::{self, Fields, Fork};
use super::layout::{Layout, Part};
use super::ondisk::{AttrRemoteHeader, BLOCK_SIZE, Block, Dinode, di_flags, di_format, i_mode};
use crate::fs::Options;
use crate::tree::{Directory, Inode, InodeId, Kind, Metadata, Tree};

/// A tree and its layout.
pub struct Contents {
    pub tree: Arc<Tree>,
    pub census: Arc<Census>,
    pub layout: Layout,
    pub options: Options,
}

/// An inode of the tree and how it is stored.
struct Parsed<'a> {
    slot: u32,
    inode: &'a Inode,
    attributes: Attributes<'a>,
    shape: Option<Shape>,
    forks: Forks,
}

impl Contents {
    /// Returns the UUID of the file system.
    pub fn uuid(&self) -> &[u8; 16] {
        self.options.uuid.as_bytes()
    }

    /// Encodes the inode in `slot`.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn inode(&self, slot: u32) -> Result<Dinode> {
        let number = self.layout.number(slot);
        if let Some(id) = self.census.id(slot) {
            return Ok(self.fields(slot, id)?.encode(number, self.uuid())?);
        }
        if !REALTIME.contains(&slot) {
            return Ok(inode::unused(number, self.uuid()));
        }
        let mut fields = fields(i_mode::FILE, &Metadata::new(0));
        fields.time = self.options.time;
        fields.links = 1;
        fields.data.format = di_format::EXTENTS;
        if slot == REALTIME[0] {
            fields.flags = di_flags::NEWRTBM;
        }
        Ok(fields.encode(number, self.uuid())?)
    }

    fn parse(&self, slot: u32, id: InodeId) -> Result<Parsed<'_>> {
        let inode = self.tree.inode(id);
        let attributes = Attributes::new(&inode.metadata.xattrs).map_err(anyhow::Error::msg)?;
        let shape = match &inode.kind {
            Kind::Directory(directory) => Shape::new(directory),
            _ => None,
        };
        Ok(Parsed {
            slot,
            forks: forks(inode, &attributes, shape.as_ref()),
            inode,
            attributes,
            shape,
        })
    }

    fn fields(&self, slot: u32, id: InodeId) -> Result<Fields> {
        let parsed = self.parse(slot, id)?;
        let Parsed { inode, forks, .. } = &parsed;
        let mode = match &inode.kind {
            Kind::Directory(_) => i_mode::DIRECTORY,
            Kind::File(_) => i_mode::FILE,
            Kind::Symlink(_) => i_mode::SYMLINK,
            Kind::Fifo => i_mode::FIFO,
            Kind::Socket => i_mode::SOCKET,
            Kind::CharacterDevice(_) => i_mode::CHARACTER_DEVICE,
            Kind::BlockDevice(_) => i_mode::BLOCK_DEVICE,
        };
        let mut fields = fields(mode, &inode.metadata);
        fields.links = self.census.links(slot);
        match &inode.kind {
            Kind::Directory(directory) => {
                let holder = self.holder(slot)?;
                fields.links = holder.subdirectories.saturating_add(2);
                fields.flags = inode::flags(inode.metadata.flags);
                match forks.is_data_short {
                    true => {
                        fields.data =
                            Fork::short(self.directory(&holder, directory, |w| Ok(w.short()?))?);
                        // usize to u64: lossless.
                        fields.size = fields.data.bytes.len() as u64;
                    }
                    false => {
                        fields.size = u64::from(holder.data) * BLOCK_SIZE;
                        self.extents(&mut fields, &parsed)?;
                    }
                }
            }
            Kind::File(content) => {
                fields.size = content.size;
                fields.flags = inode::flags(inode.metadata.flags);
                self.extents(&mut fields, &parsed)?;
            }
            Kind::Symlink(target) => {
                // usize to u64: lossless.
                fields.size = target.len() as u64;
                match forks.is_data_short {
                    true => fields.data = Fork::short(target.to_vec()),
                    false => self.extents(&mut fields, &parsed)?,
                }
            }
            Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
                fields.data.bytes = inode::device(*device);
            }
            Kind::Fifo | Kind::Socket => {}
        }
        self.attributes(&mut fields, &parsed)?;
        Ok(fields)
    }

    /// Enters the extents of the data.
    fn extents(&self, fields: &mut Fields, parsed: &Parsed<'_>) -> Result<()> {
        let encoded = self.encode_data(parsed)?;
        let (count, blocks) = sum(self.data(parsed));
        fields.data = Fork {
            format: match encoded.blocks.is_empty() {
                true => di_format::EXTENTS,
                false => di_format::BTREE,
            },
            extents: count,
            bytes: encoded.in_inode,
        };
        // usize to u64: lossless.
        fields.blocks += blocks + encoded.blocks.len() as u64;
        Ok(())
    }

    fn attributes(&self, fields: &mut Fields, parsed: &Parsed<'_>) -> Result<()> {
        let forks = &parsed.forks;
        if forks.attributes == 0 {
            return Ok(());
        }
        let fork = match forks.are_attributes_short {
            true => Fork::short(parsed.attributes.short()?),
            false => {
                let extents = self.layout.holder(parsed.slot, Part::Attributes);
                let (count, blocks) = sum(extents.clone());
                fields.blocks += blocks;
                let encoded =
                    self.encode(parsed.slot, extents, forks.attributes, std::iter::empty())?;
                Fork {
                    format: di_format::EXTENTS,
                    extents: count,
                    bytes: encoded.in_inode,
                }
            }
        };
        fields.attributes = Some((forks.data, fork));
        Ok(())
    }

    /// Returns the extents of the data of an inode.
    fn data(&self, parsed: &Parsed<'_>) -> Box<dyn Iterator<Item = Extent> + '_> {
        match parsed.inode.kind {
            Kind::File(_) => Box::new(self.layout.file(parsed.slot)),
            _ => Box::new(self.layout.holder(parsed.slot, Part::Data)),
        }
    }

    fn encode_data(&self, parsed: &Parsed<'_>) -> Result<Encoded> {
        let slot = parsed.slot;
        let space = parsed.forks.data;
        match parsed.inode.kind {
            Kind::File(_) => self.encode(slot, self.data(parsed), space, self.layout.tree(slot)),
            _ => {
                let tree = self.layout.holder(slot, Part::Tree);
                self.encode(slot, self.data(parsed), space, tree)
            }
        }
    }

    fn encode(
        &self,
        slot: u32,
        extents: impl Iterator<Item = Extent>,
        space: usize,
        tree: impl Iterator<Item = Extent>,
    ) -> Result<Encoded> {
        extent::encode(
            extents,
            space,
            tree.flat_map(blocks),
            self.layout.number(slot),
            &self.layout.geometry,
            self.uuid(),
        )
    }

    fn holder(&self, slot: u32) -> Result<Holder> {
        let holders = &self.census.holders;
        let at = holders.binary_search_by_key(&slot, |holder| holder.slot);
        let holder = at.ok().and_then(|at| holders.get(at)).copied();
        holder.with_context(|| format!("directory {slot} was not counted"))
    }

    fn directory<T>(
        &self,
        holder: &Holder,
        directory: &Directory,
        write: impl FnOnce(&Writer<'_>) -> Result<T>,
    ) -> Result<T> {
        let target = |id: InodeId| Target {
            number: self.layout.number(self.census.slot(id)),
            file_type: type_of(&self.tree.inode(id).kind),
        };
        write(&Writer {
            number: self.layout.number(holder.slot),
            parent: self.layout.number(holder.parent),
            directory,
            target: &target,
            uuid: self.uuid(),
        })
    }

    /// Passes the blocks of a holder to `emit` with their places, in order.
    ///
    /// # Errors
    /// Those of `emit`, and if a number is too large for its field.
    pub fn holder_blocks(
        &self,
        holder: &Holder,
        emit: &mut dyn FnMut(u64, &Block) -> Result<()>,
    ) -> Result<()> {
        let (slot, layout) = (holder.slot, &self.layout);
        let Some(id) = self.census.id(slot) else {
            return Ok(());
        };
        let number = layout.number(slot);
        let mut parts = layout
            .holder(slot, Part::Attributes)
            .chain(layout.holder(slot, Part::Data))
            .flat_map(blocks);
        let mut next = |mut block: Block, head: Head| {
            let place = parts
                .next()
                .with_context(|| format!("inode {number} has more blocks than planned"))?;
            head.finish(&mut block, place);
            emit(place, &block)
        };
        let parsed = self.parse(slot, id)?;
        if holder.attributes > 0 {
            parsed.attributes.write(number, self.uuid(), &mut next)?;
        }
        if holder.data > 0 {
            match (&parsed.inode.kind, &parsed.shape) {
                (Kind::Symlink(target), _) => {
                    let block = remote(AttrRemoteHeader::SYMLINK, target, number, self.uuid())?;
                    next(block, Head::Remote)?;
                }
                (Kind::Directory(directory), Some(shape)) => {
                    self.directory(holder, directory, |writer| writer.blocks(shape, &mut next))?;
                }
                _ => {}
            }
        }
        self.tree_blocks(&parsed, layout.holder(slot, Part::Tree), emit)
    }

    /// Passes the blocks of the tree of a file's extents to `emit` with their places, in order.
    ///
    /// # Errors
    /// Those of `emit`, and if a number is too large for its field.
    pub fn file_blocks(
        &self,
        slot: u32,
        emit: &mut dyn FnMut(u64, &Block) -> Result<()>,
    ) -> Result<()> {
        let Some(id) = self.census.id(slot) else {
            return Ok(());
        };
        let parsed = self.parse(slot, id)?;
        self.tree_blocks(&parsed, self.layout.tree(slot), emit)
    }

    fn tree_blocks(
        &self,
        parsed: &Parsed<'_>,
        tree: impl Iterator<Item = Extent> + Clone,
        emit: &mut dyn FnMut(u64, &Block) -> Result<()>,
    ) -> Result<()> {
        if tree.clone().next().is_none() {
            return Ok(());
        }
        let encoded = self.encode_data(parsed)?;
        for (place, block) in tree.flat_map(blocks).zip(&encoded.blocks) {
            emit(place, block)?;
        }
        Ok(())
    }
}

fn fields(kind: u16, metadata: &Metadata) -> Fields {
    Fields {
        mode: kind | metadata.mode,
        uid: metadata.uid,
        gid: metadata.gid,
        links: 0,
        size: 0,
        blocks: 0,
        flags: 0,
        time: metadata.mtime,
        data: Fork {
            format: di_format::DEVICE,
            ..Fork::default()
        },
        attributes: None,
    }
}

fn blocks(extent: Extent) -> std::ops::Range<u64> {
    extent.block..extent.block + extent.length
}

/// Returns the numbers of extents and of blocks.
fn sum(extents: impl Iterator<Item = Extent>) -> (u64, u64) {
    extents.fold((0, 0), |(count, blocks), extent| {
        (count + 1, blocks + extent.length)
    })
}
