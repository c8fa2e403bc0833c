//! A completely laid out file system, whose metadata is generated on demand.

use anyhow::Result;
use zerocopy::IntoBytes;

use super::census::CHUNK;
use super::contents::Contents;
use super::geometry::HEADER_BLOCKS;
use super::group::{self, Numbered};
use super::layout::{Group, Layout};
use super::log;
use super::ondisk::{BLOCK_SIZE, Block};
use crate::fs::number::index;
use crate::fs::sink::Sink;
use crate::fs::{DataExtent, DataSource, Plan, Usage};

/// An XFS file system with a tree in it.
pub struct XfsPlan {
    pub contents: Contents,
    pub length: u64,
}

/// Returns the number of free blocks that ordinary users can fill.
pub fn available(layout: &Layout) -> u64 {
    layout
        .free_blocks()
        .saturating_sub(layout.geometry.withheld())
}

impl Plan for XfsPlan {
    fn length(&self) -> u64 {
        self.length
    }

    fn usage(&self) -> Usage {
        let Contents { layout, census, .. } = &self.contents;
        let available = available(layout) * BLOCK_SIZE;
        // Linux makes more inodes as long as there are blocks for them.
        let most = layout.geometry.most_inode_blocks(census.chunks());
        let chunks = census.chunks() * CHUNK;
        // usize to u64: lossless.
        let in_block = BLOCK_SIZE / size_of::<super::ondisk::Dinode>() as u64;
        let inodes = chunks + available / BLOCK_SIZE * in_block;
        Usage {
            length: self.length,
            available,
            available_to_root: available,
            inodes: inodes.min(most * in_block).max(chunks),
            inodes_used: census.inodes(),
        }
    }

    fn data(&self) -> &[DataExtent] {
        &self.contents.layout.data
    }

    fn source(&self, file: u32) -> Option<DataSource<'_>> {
        DataSource::of_tree(&self.contents.tree, self.contents.census.id(file)?)
    }

    fn metadata(&self, emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let contents = &self.contents;
        let mut writer = Writer {
            contents,
            sink: Sink::new(emit),
            group: 0,
            tail: Vec::new(),
        };
        writer.begin()?;
        for holder in &contents.census.holders {
            contents.holder_blocks(holder, &mut |place, block| writer.block(place, block))?;
        }
        let mut last = None;
        for tree in &contents.layout.trees {
            if last.replace(tree.slot) != Some(tree.slot) {
                contents.file_blocks(tree.slot, &mut |place, block| writer.block(place, block))?;
            }
        }
        writer.enter(contents.layout.geometry.groups - 1)?;
        writer.end()?;
        writer.sink.flush()
    }
}

/// Writes metadata in order: each group begins with its headers and inodes.
struct Writer<'a, 'b> {
    contents: &'a Contents,
    sink: Sink<'b>,
    /// The current group, and its blocks after inodes and data.
    group: u64,
    tail: Vec<Numbered>,
}

impl Writer<'_, '_> {
    /// Writes a block of an inode.
    fn block(&mut self, place: u64, block: &Block) -> Result<()> {
        self.enter(self.contents.layout.geometry.split(place).0)?;
        self.sink.blocks(place, block)
    }

    /// Goes on to the group `number`.
    fn enter(&mut self, number: u64) -> Result<()> {
        while self.group < number {
            self.end()?;
            self.group += 1;
            self.begin()?;
        }
        Ok(())
    }

    /// Writes the beginning of the current group.
    fn begin(&mut self) -> Result<()> {
        let geometry = &self.contents.layout.geometry;
        let (blocks, tail) = group::build(self.contents, self.group)?;
        self.tail = tail;
        let first = self.group * geometry.group_blocks;
        for (block, bytes) in &blocks {
            self.sink.blocks(first + block, bytes)?;
        }
        if geometry.log_in(self.group) > 0 {
            let record = log::record(self.contents.uuid());
            self.sink.blocks(first + HEADER_BLOCKS, &record)?;
        }
        self.inodes(&self.contents.layout.groups[index(self.group)], first)
    }

    fn inodes(&mut self, group: &Group, first: u64) -> Result<()> {
        let start = group.first_chunk * CHUNK;
        let mut block = Vec::with_capacity(size_of::<Block>());
        let mut place = first + group.inodes;
        for slot in start..start + group.chunks * CHUNK {
            let inode = self.contents.inode(u32::try_from(slot)?)?;
            block.extend_from_slice(inode.as_bytes());
            if block.len() == size_of::<Block>() {
                self.sink.blocks(place, &block)?;
                place += 1;
                block.clear();
            }
        }
        Ok(())
    }

    /// Writes the end of the current group.
    fn end(&mut self) -> Result<()> {
        let first = self.group * self.contents.layout.geometry.group_blocks;
        for (block, bytes) in std::mem::take(&mut self.tail) {
            self.sink.blocks(first + block, &bytes)?;
        }
        Ok(())
    }
}
