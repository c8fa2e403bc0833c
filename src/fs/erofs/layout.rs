//! The places of everything in the file system: the superblock, the inodes with what belongs to
//! them, shared attributes, blocks of directories and long link targets, data.

use super::FINISHED;
use super::compress::{Compression, Packed};
use super::ondisk::{
    BLOCK_SIZE, DeflateCfgs, Lz4Cfgs, NO_BLOCK, SLOT_SIZE, SuperBlock, ZstdCfgs, feature_incompat,
};
use super::shape::{Data, Shape};
use super::slots::Slots;
use super::subject::Subject;
use crate::fs::content::data_blocks;
use crate::fs::{DataExtent, PlanError};
use crate::tree::{Content, InodeId, Kind};

/// Block numbers have 32 bits, and the last one means that there is none.
const MOST_BLOCKS: u64 = NO_BLOCK as u64; // u32 to u64: lossless

/// The places of everything.
#[derive(Debug)]
pub struct Layout {
    /// The numbers of inodes on disk by [`InodeId::index`]: their places in slots.
    numbers: Vec<u32>,
    /// The first block of the data of each inode by [`InodeId::index`], or [`NO_BLOCK`].
    starts: Vec<u32>,
    /// All inodes in the order of their places.
    pub sorted: Vec<InodeId>,
    /// The block in which shared attributes begin.
    pub xattr_block: u32,
    /// Directories and link targets with blocks, in the order of these.
    pub holders: Vec<InodeId>,
    /// The data of files.
    pub data: Vec<DataExtent>,
    /// Features that the inodes need: bits of [`feature_incompat`].
    pub features: u32,
    /// Number of blocks of the file system.
    pub blocks: u64,
}

impl Layout {
    /// Places everything.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] if that is too much.
    pub fn new(subject: &Subject<'_>) -> Result<Layout, PlanError> {
        let count = subject.tree.inodes().len();
        let mut layout = Layout {
            numbers: vec![0; count],
            starts: vec![NO_BLOCK; count],
            sorted: subject.census.order.clone(),
            xattr_block: 0,
            holders: Vec::new(),
            data: Vec::new(),
            features: 0,
            blocks: 0,
        };
        layout.place_all(subject).map_err(|needed| {
            PlanError::Unrepresentable(vec![format!(
                "a file system of {needed} bytes; EROFS's limit is {} (16 TiB)",
                MOST_BLOCKS * BLOCK_SIZE
            )])
        })?;
        Ok(layout)
    }

    /// The number of an inode on disk.
    pub fn number(&self, id: InodeId) -> u32 {
        self.numbers[id.index()]
    }

    /// The first block of the data of an inode, or [`NO_BLOCK`].
    pub fn start(&self, id: InodeId) -> u32 {
        self.starts[id.index()]
    }

    /// The place of an inode in bytes.
    pub fn place(&self, id: InodeId) -> u64 {
        u64::from(self.number(id)) * SLOT_SIZE
    }

    /// Returns a number of bytes that is too large if there are too many blocks or inodes.
    fn place_all(&mut self, subject: &Subject<'_>) -> Result<(), u64> {
        self.blocks = self.inodes(subject)?;
        let shared = subject.census.shared.length();
        if shared > 0 {
            self.xattr_block = block(self.blocks)?;
            self.blocks += shared.div_ceil(BLOCK_SIZE);
        }
        let order = &subject.census.order;
        let is_file = |id: InodeId| matches!(subject.tree.inode(id).kind, Kind::File(_));
        for &id in order.iter().filter(|&&id| !is_file(id)) {
            let shape = subject.shape(id);
            if shape.blocks() > 0 {
                self.take(id, shape.blocks())?;
                self.holders.push(id);
            }
        }
        for &id in order {
            let Kind::File(content) = &subject.tree.inode(id).kind else {
                continue;
            };
            let shape = subject.shape(id);
            self.features |= features(&shape);
            if shape.blocks() > 0 {
                self.take(id, shape.blocks())?;
                self.file(id, content, &shape, subject.packed);
            }
        }
        block(self.blocks)?;
        Ok(())
    }

    /// Places the inodes and returns the number of the block after them.
    fn inodes(&mut self, subject: &Subject<'_>) -> Result<u64, u64> {
        let start = SuperBlock::OFFSET + superblock_length(subject.packed);
        let mut slots = Slots::new(start);
        for &id in &subject.census.order {
            let shape = subject.shape(id);
            let place = slots.place(shape.length(), shape.is_together());
            let number = u32::try_from(place).map_err(|_| slots.end())?;
            self.numbers[id.index()] = number;
        }
        let numbers = &self.numbers;
        self.sorted.sort_unstable_by_key(|id| numbers[id.index()]);
        Ok(slots.end().div_ceil(BLOCK_SIZE))
    }

    /// Takes the next blocks for the data of an inode.
    fn take(&mut self, id: InodeId, blocks: u64) -> Result<(), u64> {
        self.starts[id.index()] = block(self.blocks)?;
        self.blocks = self.blocks.saturating_add(blocks);
        Ok(())
    }

    /// Adds the data of a file.
    fn file(&mut self, id: InodeId, content: &Content, shape: &Shape, packed: Option<&Packed>) {
        let start = u64::from(self.start(id)) * BLOCK_SIZE;
        // A tree has fewer inodes than the type has numbers.
        let file = u32::try_from(id.index()).unwrap_or(FINISHED);
        match shape.data {
            Data::Flat { tail, .. } => {
                let end = shape.size - tail;
                for blocks in data_blocks(content) {
                    let offset = blocks.start * BLOCK_SIZE;
                    let length = (blocks.end * BLOCK_SIZE).min(end).saturating_sub(offset);
                    self.extent(file, offset, start + offset, length);
                }
            }
            Data::Chunks(chunks) => {
                for part in chunks.parts(content) {
                    let offset = start + part.stored_offset;
                    self.extent(file, part.file_offset, offset, part.length);
                }
            }
            Data::Packed { tail, .. } => {
                let Some(packed) = packed else { return };
                let mut offset = start;
                for part in packed.parts(id, shape.size, tail > 0) {
                    let file = match part.is_compressed {
                        true => FINISHED,
                        false => file,
                    };
                    self.extent(file, part.offset, offset, part.length);
                    offset += part.length.next_multiple_of(BLOCK_SIZE);
                }
            }
        }
    }

    /// Adds data, to the last extent if that is possible.
    fn extent(&mut self, file: u32, file_offset: u64, offset: u64, length: u64) {
        if length == 0 {
            return;
        }
        match self.data.last_mut() {
            Some(last)
                if last.file == file
                    && last.file_offset + last.length == file_offset
                    && last.offset + last.length == offset =>
            {
                last.length += length;
            }
            _ => self.data.push(DataExtent {
                file,
                file_offset,
                offset,
                length,
            }),
        }
    }
}

/// Converts the number of a block, or returns its place in bytes if there can be no such block.
fn block(number: u64) -> Result<u32, u64> {
    match u32::try_from(number) {
        Ok(number) if number != NO_BLOCK => Ok(number),
        _ => Err(number.saturating_mul(BLOCK_SIZE)),
    }
}

fn features(shape: &Shape) -> u32 {
    match shape.data {
        Data::Flat { .. } => 0,
        Data::Chunks(_) => feature_incompat::CHUNKED_FILE,
        Data::Packed { tail, .. } => {
            let tail = match tail {
                0 => 0,
                _ => feature_incompat::ZTAILPACKING,
            };
            feature_incompat::ZERO_PADDING | feature_incompat::COMPR_CFGS | tail
        }
    }
}
/// Returns the length of the superblock and the configuration of the compression in bytes.
fn superblock_length(packed: Option<&Packed>) -> u64 {
    let configuration = match packed.map(|packed| packed.compression) {
        None => 0,
        Some(Compression::Lz4 { .. }) => size_of::<Lz4Cfgs>(),
        Some(Compression::Deflate { .. }) => size_of::<DeflateCfgs>(),
        Some(Compression::Zstd { .. }) => size_of::<ZstdCfgs>(),
    };
    // usize to u64: lossless on every target Rust has.
    (size_of::<SuperBlock>() + configuration) as u64
}
