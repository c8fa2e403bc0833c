//! A completely laid out file system, whose metadata is generated on demand.

use std::sync::Arc;

use anyhow::Result;
use zerocopy::{FromZeros, IntoBytes};

use super::census::Census;
use super::geometry::SEGMENT;
use super::layout::Layout;
use super::logs::Log;
use super::ondisk::{BLOCK_SIZE, Block, SuperBlock, put};
use super::segment::View;
use super::tables::{self, Emit};
use super::{INLINE_DATA, checkpoint, inode, parallel, summary, superblock};
use crate::fs::source::Opener;
use crate::fs::{DataExtent, DataSource, Options, Plan, Usage};
use crate::tree::{Kind, Tree};

/// An F2FS with a tree in it.
pub struct F2fsPlan {
    tree: Arc<Tree>,
    census: Arc<Census>,
    layout: Layout,
    length: u64,
    options: Options,
    data: Vec<DataExtent>,
}

impl F2fsPlan {
    /// Makes the plan of a file system of `length` bytes with the layout `layout`.
    pub fn new(
        tree: Arc<Tree>,
        census: Arc<Census>,
        layout: Layout,
        length: u64,
        options: &Options,
    ) -> F2fsPlan {
        let mut plan = F2fsPlan {
            tree,
            census,
            layout,
            length,
            options: options.clone(),
            data: Vec::new(),
        };
        plan.data = plan.extents();
        plan
    }

    fn extents(&self) -> Vec<DataExtent> {
        let view = self.view();
        let mut extents = Vec::new();
        // In the order of their addresses.
        for log in Log::ALL.into_iter().filter(|log| !log.has_nodes()) {
            for (at, item) in self.census.items().iter().enumerate() {
                if item.data_log == log
                    && let Kind::File(content) = &self.tree.inode(item.id).kind
                    && content.size > INLINE_DATA
                {
                    extents.extend(inode::data_extents(&view, at, content));
                }
            }
        }
        extents
    }

    fn view(&self) -> View<'_> {
        View {
            tree: &self.tree,
            census: &self.census,
            layout: &self.layout,
        }
    }

    /// Passes the summaries of full segments to `emit`. Those of the others are in the checkpoint.
    fn summaries(&self, emit: &mut Emit<'_>) -> Result<()> {
        let view = self.view();
        let address = u64::from(self.layout.geometry.ssa_address());
        for log in Log::ALL {
            let first = address + u64::from(self.layout.first_segment(log));
            parallel::ordered(
                self.census.blocks(log) / u64::from(SEGMENT),
                |segment| summary::block(&view, log, segment),
                |segment, block| emit((first + segment) * BLOCK_SIZE, block.as_bytes()),
            )?;
        }
        Ok(())
    }

    fn nodes(&self, log: Log, emit: &mut Emit<'_>) -> Result<()> {
        let view = self.view();
        let offset = u64::from(self.layout.address(log, 0)) * BLOCK_SIZE;
        let segment_size = u64::from(SEGMENT) * BLOCK_SIZE;
        parallel::ordered(
            self.census.blocks(log).div_ceil(u64::from(SEGMENT)),
            |segment| view.segment(log, segment, &mut Opener::default()),
            |segment, bytes| emit(offset + segment * segment_size, &bytes),
        )
    }

    /// Passes the blocks of directories and link targets in `log` to `emit`.
    fn contents(&self, log: Log, emit: &mut Emit<'_>) -> Result<()> {
        let view = self.view();
        for (at, item) in self.census.items().iter().enumerate() {
            if item.data_log != log {
                continue;
            }
            let mut offset = u64::from(self.layout.address(log, item.data)) * BLOCK_SIZE;
            match &self.tree.inode(item.id).kind {
                Kind::Directory(directory) if self.census.table(at).is_some() => {
                    inode::entries(&view, at, directory, |entries| {
                        entries.blocks(&mut |block| {
                            emit(offset, block.as_bytes())?;
                            offset += BLOCK_SIZE;
                            Ok(())
                        })
                    })?;
                }
                // usize to u64: lossless.
                Kind::Symlink(target) if target.len() as u64 > INLINE_DATA => {
                    let mut block = Block::new_zeroed();
                    put(&mut block, 0, &**target);
                    emit(offset, &block)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Plan for F2fsPlan {
    fn length(&self) -> u64 {
        self.length
    }

    fn usage(&self) -> Usage {
        let geometry = &self.layout.geometry;
        let available = self.layout.room(&self.census) * BLOCK_SIZE;
        Usage {
            length: self.length,
            available,
            available_to_root: available,
            inodes: geometry.nodes().min(geometry.user_blocks()),
            inodes_used: self.census.inodes(),
        }
    }

    fn data(&self) -> &[DataExtent] {
        &self.data
    }

    fn source(&self, file: u32) -> Option<DataSource<'_>> {
        DataSource::of_tree(&self.tree, self.census.item_of(file)?.id)
    }

    fn metadata(&self, emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let view = self.view();
        let superblock = superblock::encode(&self.layout.geometry, &self.options)?;
        // usize to u64: lossless.
        let offset = SuperBlock::OFFSET as u64;
        emit(offset, superblock.as_bytes())?;
        emit(BLOCK_SIZE + offset, superblock.as_bytes())?;
        checkpoint::write(&view, self.options.uuid, emit)?;
        tables::sit(&view, emit)?;
        tables::nat(&view, emit)?;
        self.summaries(emit)?;
        for log in Log::ALL {
            match log.has_nodes() {
                true => self.nodes(log, emit)?,
                false => self.contents(log, emit)?,
            }
        }
        Ok(())
    }
}
