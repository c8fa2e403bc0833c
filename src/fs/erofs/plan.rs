//! The plan of a file system: generates its metadata.

use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};

use super::census::Census;
use super::compress::Packed;
use super::inode::Encoder;
use super::layout::Layout;
use super::ondisk::{BLOCK_SIZE, SuperBlock};
use super::shape::Subject;
use super::{FINISHED, superblock};
use crate::fs::number::index;
use crate::fs::source::Opener;
use crate::fs::{DataExtent, DataSource, Options, Plan, Usage};
use crate::tree::{InodeId, Kind, Tree};

/// Inodes are encoded together until they take this many bytes.
const BATCH: u64 = 256 << 10;
/// The length of parts in which other metadata is passed on.
const PART: u64 = 1 << 20;
/// The function that receives metadata.
type Emit<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// A tree and the places of everything in it.
pub struct Planned {
    /// The tree.
    pub tree: Arc<Tree>,
    /// What is known about it.
    pub census: Census,
    /// The compressed contents of files.
    pub packed: Option<Packed>,
    /// Properties of the file system.
    pub options: Options,
    /// The places of everything.
    pub layout: Layout,
    /// The number of threads that read files.
    pub threads: usize,
}

impl Planned {
    /// The number of inodes.
    pub fn inodes(&self) -> u64 {
        // usize to u64: lossless on every target Rust has.
        self.census.order.len() as u64
    }

    /// Length of the file system in bytes.
    pub fn length(&self) -> u64 {
        self.layout.blocks * BLOCK_SIZE
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            tree: &self.tree,
            census: &self.census,
            packed: self.packed.as_ref(),
            options: &self.options,
        }
    }
}

/// The plan of a file system in `length` bytes.
pub struct ErofsPlan {
    /// The file system.
    pub planned: Arc<Planned>,
    /// The length with the unused space after it.
    pub length: u64,
}

impl Plan for ErofsPlan {
    fn length(&self) -> u64 {
        self.length
    }

    fn usage(&self) -> Usage {
        Usage {
            length: self.length,
            available: 0,
            available_to_root: 0,
            inodes: self.planned.inodes(),
            inodes_used: self.planned.inodes(),
        }
    }

    fn data(&self) -> &[DataExtent] {
        &self.planned.layout.data
    }

    fn source(&self, file: u32) -> Option<DataSource<'_>> {
        if file == FINISHED {
            let packed = self.planned.packed.as_ref()?;
            return Some(DataSource::Finished(&packed.file));
        }
        let inode = self.planned.tree.inodes().get(index(file.into()))?;
        match &inode.kind {
            Kind::File(content) => Some(DataSource::Tree(content)),
            _ => None,
        }
    }

    fn metadata(&self, emit: &mut Emit<'_>) -> Result<()> {
        let subject = self.planned.subject();
        let writer = Writer {
            planned: &self.planned,
            encoder: Encoder {
                subject: &subject,
                layout: &self.planned.layout,
            },
        };
        writer.inodes(emit)?;
        writer.shared_xattrs(emit)?;
        writer.holders(emit)
    }
}

#[derive(Clone, Copy)]
struct Writer<'a> {
    planned: &'a Planned,
    encoder: Encoder<'a>,
}

/// Inodes that are encoded together.
struct Batch<'a> {
    inodes: &'a [InodeId],
    is_first: bool,
}

impl Writer<'_> {
    /// Writes the superblock and the inodes. Threads encode them, because that reads short files
    /// and the ends of others.
    fn inodes(&self, emit: &mut Emit<'_>) -> Result<()> {
        let mut rest = self.planned.layout.sorted.as_slice();
        let mut is_first = true;
        while !rest.is_empty() {
            if self.is_long(rest[0]) {
                self.long_inode(rest[0], emit)?;
                rest = &rest[1..];
                continue;
            }
            let mut batches = Vec::new();
            while batches.len() < self.planned.threads.max(1) {
                let (inodes, after) = rest.split_at(self.batch(rest));
                if inodes.is_empty() {
                    break;
                }
                batches.push(Batch { inodes, is_first });
                (rest, is_first) = (after, false);
            }
            for (offset, bytes) in self.encode_all(&batches)? {
                emit(offset, &bytes)?;
            }
        }
        Ok(())
    }

    fn is_long(&self, id: InodeId) -> bool {
        self.encoder.subject.shape(id).is_long()
    }

    /// Returns how many of `inodes` are encoded together.
    fn batch(&self, inodes: &[InodeId]) -> usize {
        let layout = &self.planned.layout;
        let start = inodes.first().map_or(0, |&id| layout.place(id));
        let is_other = |&id: &InodeId| layout.place(id) - start > BATCH || self.is_long(id);
        inodes.iter().position(is_other).unwrap_or(inodes.len())
    }

    /// Encodes each batch in a thread of its own.
    fn encode_all(&self, batches: &[Batch<'_>]) -> Result<Vec<(u64, Vec<u8>)>> {
        if let [batch] = batches {
            return Ok(vec![self.encode(batch)?]);
        }
        thread::scope(|scope| {
            let threads: Vec<_> = batches
                .iter()
                .map(|batch| scope.spawn(|| self.encode(batch)))
                .collect();
            let mut all = Vec::with_capacity(threads.len());
            for thread in threads {
                let bytes = thread
                    .join()
                    .map_err(|_| anyhow!("a thread that encodes inodes has panicked"))?;
                all.push(bytes?);
            }
            Ok(all)
        })
    }

    /// Returns the bytes of a batch and their offset. The first batch begins with the superblock.
    fn encode(&self, batch: &Batch<'_>) -> Result<(u64, Vec<u8>)> {
        let layout = &self.planned.layout;
        let mut bytes = Vec::new();
        let start = match batch.is_first {
            true => {
                let planned = self.planned;
                let packed = planned.packed.as_ref();
                let inodes = planned.inodes();
                bytes = superblock::encode(layout, &planned.options, inodes, packed)?;
                SuperBlock::OFFSET
            }
            false => batch.inodes.first().map_or(0, |&id| layout.place(id)),
        };
        let mut opener = Opener::default();
        for &id in batch.inodes {
            bytes.resize(index(layout.place(id) - start), 0);
            self.encoder.inode(id, &mut opener, &mut |part| {
                bytes.extend_from_slice(part);
                Ok(())
            })?;
        }
        if batch.is_first {
            let rest = index(BLOCK_SIZE - SuperBlock::OFFSET);
            bytes.resize(bytes.len().max(rest), 0);
            superblock::set_checksum(&mut bytes);
        }
        Ok((start, bytes))
    }

    fn long_inode(&self, id: InodeId, emit: &mut Emit<'_>) -> Result<()> {
        let mut sink = Sink::new(self.planned.layout.place(id), emit);
        let mut opener = Opener::default();
        self.encoder
            .inode(id, &mut opener, &mut |part| sink.add(part))?;
        sink.flush()
    }

    fn shared_xattrs(&self, emit: &mut Emit<'_>) -> Result<()> {
        let start = u64::from(self.planned.layout.xattr_block) * BLOCK_SIZE;
        let mut sink = Sink::new(start, emit);
        self.planned.census.shared.encode(|entry| sink.add(entry))?;
        sink.flush()
    }

    /// Writes the blocks of directories and long link targets.
    fn holders(&self, emit: &mut Emit<'_>) -> Result<()> {
        let layout = &self.planned.layout;
        let start = layout.holders.first().map_or(0, |&id| layout.start(id));
        let mut sink = Sink::new(u64::from(start) * BLOCK_SIZE, emit);
        for &id in &layout.holders {
            let start = u64::from(layout.start(id)) * BLOCK_SIZE;
            sink.fill_to(start)?;
            match &self.planned.tree.inode(id).kind {
                Kind::Symlink(target) => sink.add(target)?,
                _ => {
                    let end = start + self.encoder.subject.shape(id).blocks() * BLOCK_SIZE;
                    self.encoder.directory(id, &mut |block| {
                        sink.fill()?;
                        // The last block may be with the inode.
                        match sink.end() < end {
                            true => sink.add(block),
                            false => Ok(()),
                        }
                    })?;
                }
            }
        }
        sink.flush()
    }
}

/// Merges adjacent pieces of metadata.
struct Sink<'a, 'b> {
    start: u64,
    bytes: Vec<u8>,
    emit: &'a mut Emit<'b>,
}

impl<'a, 'b> Sink<'a, 'b> {
    fn new(start: u64, emit: &'a mut Emit<'b>) -> Sink<'a, 'b> {
        Sink {
            start,
            bytes: Vec::new(),
            emit,
        }
    }

    /// Where the next piece will be.
    fn end(&self) -> u64 {
        // usize to u64: lossless on every target Rust has.
        self.start + self.bytes.len() as u64
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        if self.bytes.len() as u64 >= PART {
            self.flush()?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds zeros up to the end of the block.
    fn fill(&mut self) -> Result<()> {
        self.fill_to(self.end().next_multiple_of(BLOCK_SIZE))
    }

    /// Adds zeros up to `end`, which is less than a block away.
    fn fill_to(&mut self, end: u64) -> Result<()> {
        let length = index(end.saturating_sub(self.start));
        self.bytes.resize(length.max(self.bytes.len()), 0);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if !self.bytes.is_empty() {
            (self.emit)(self.start, &self.bytes)?;
            self.start = self.end();
            self.bytes.clear();
        }
        Ok(())
    }
}
