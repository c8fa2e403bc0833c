//! A layout of the crate as a [`Plan`].

use std::io;

use mkext4::spec::Superblock;
use mkext4::{InodeHandle, Layout, RegionSink};

use super::{BLOCK, PlanError, declare};
use crate::fs::{DataExtent, Plan, Usage};
use crate::tree::{Content, InodeId, Kind, Tree};

/// A file system that is laid out.
pub struct Planned {
    layout: Layout,
    usage: Usage,
    data: Vec<DataExtent>,
}

impl Planned {
    /// The plan of `layout`, in which the regular files `files` of `tree` have these handles.
    ///
    /// # Errors
    /// If the crate's superblock can't be read.
    pub fn new(
        tree: &Tree,
        layout: Layout,
        files: &[(InodeId, InodeHandle)],
    ) -> Result<Planned, PlanError> {
        let usage = usage(&layout)?;
        let mut data = Vec::with_capacity(files.len());
        for &(id, handle) in files {
            if let Kind::File(content) = &tree.inode(id).kind {
                data.extend(extents(id, content, layout.extents(handle)));
            }
        }
        data.sort_unstable_by_key(|extent| extent.offset);
        Ok(Planned {
            layout,
            usage,
            data,
        })
    }
}

/// The extents of a file whose data the crate put at `runs`, (offset, length) in bytes. A run never
/// holds parts of two data ranges.
fn extents(inode: InodeId, content: &Content, runs: Vec<(u64, u64)>) -> Vec<DataExtent> {
    let mut ranges = declare::block_ranges(content).into_iter();
    let mut range = ranges.next();
    let mut extents = Vec::with_capacity(runs.len());
    for (offset, length) in runs {
        let Some(current) = range.as_mut() else {
            break;
        };
        extents.push(DataExtent {
            inode,
            file_offset: current.offset,
            offset,
            length,
        });
        current.offset += length;
        current.length = current.length.saturating_sub(length);
        if current.length == 0 {
            range = ranges.next();
        }
    }
    extents
}

impl Plan for Planned {
    fn length(&self) -> u64 {
        self.layout.image_len()
    }

    fn usage(&self) -> Usage {
        self.usage
    }

    fn data(&self) -> &[DataExtent] {
        &self.data
    }

    fn metadata(
        &self,
        emit: &mut dyn FnMut(u64, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut sink = Sink {
            emit,
            failure: None,
        };
        let result = self.layout.writer(&mut sink).map(drop);
        match sink.failure {
            Some(failure) => Err(failure),
            None => Ok(result?),
        }
    }
}

/// Passes data on and drops zeros.
struct Sink<'a> {
    emit: &'a mut dyn FnMut(u64, &[u8]) -> anyhow::Result<()>,
    /// Why `emit` failed: the crate knows errors of input and output only.
    failure: Option<anyhow::Error>,
}

impl RegionSink for Sink<'_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (self.emit)(offset, bytes).map_err(|failure| {
            self.failure = Some(failure);
            io::Error::other("stopped")
        })
    }

    fn zeros(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Takes the first piece, which has the superblock, and stops.
struct First(Vec<u8>);

impl RegionSink for First {
    fn data(&mut self, _: u64, bytes: &[u8]) -> io::Result<()> {
        self.0 = bytes.to_vec();
        Err(io::Error::other("stopped"))
    }

    fn zeros(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// What the superblock says, which is 1024 bytes from the beginning.
fn usage(layout: &Layout) -> Result<Usage, PlanError> {
    let mut first = First(Vec::new());
    // It fails, as `First` does.
    let _ = layout.writer(&mut first);
    let bytes = first.0.get(1024..2048).unwrap_or_default();
    let superblock =
        Superblock::decode(bytes).map_err(|error| PlanError::Writer(error.to_string()))?;
    let available = superblock
        .free_blocks_count
        .saturating_sub(superblock.r_blocks_count);
    let inodes = u64::from(superblock.inodes_count);
    Ok(Usage {
        length: layout.image_len(),
        available: available * BLOCK,
        inodes,
        inodes_used: inodes - u64::from(superblock.free_inodes_count).min(inodes),
    })
}
