//! An [`Image`]: the whole disk as ranges of bytes, the step that writes them, and a reader for a
//! disk that has not been written.
//!
//! [`Content`] describes the contents of the disk: ranges that are copied from files, in a list
//! that can be searched and divided among threads; ranges that are generated in memory, one after
//! the other; and zeros, which are the rest. [`Image::ranges`] yields all three in the order of the
//! disk. [`write()`] passes the first two kinds to a sink (`sink::Sink`), copied ranges on all
//! cores and in any order. [`write_blocks`] passes all of them to a [`BlockSink`], as blocks in the
//! order of the disk. A [`Reader`] looks up the first kind and reads the second from a sparse
//! file.

mod allocation;
mod batch;
mod blocks;
mod check;
mod content;
mod copy;
mod extents;
mod failed;
mod lazy;
mod queue;
mod ranges;
mod raw;
mod reserve;
mod sink;
#[cfg(test)]
mod tests;
mod worker;
mod write;

use crate::fs::{FinishedFile, Plan};

pub(crate) use allocation::Allocation;
pub(crate) use blocks::{BlockSink, Blocks, write_blocks};
pub(crate) use failed::{full, write_failed};
pub(crate) use lazy::{LazyImage, Reader};
pub use write::write;

/// A whole disk. Bytes outside all parts are zeros.
pub struct Image {
    /// Length of the disk in bytes.
    pub length: u64,
    /// The parts, ordered by `start`, none overlapping, all within `length`.
    pub parts: Vec<Part>,
}

/// A part of a disk.
pub struct Part {
    /// Its name in messages: "protective MBR and GPT", "root file system".
    pub name: String,
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub length: u64,
    /// Its bytes.
    pub content: Content,
}

/// Where the bytes of a [`Part`] come from.
pub enum Content {
    /// Bytes in memory, at most as long as the part; the rest is zeros.
    Bytes(Vec<u8>),
    /// A file, at most as long as the part, holes included; the rest is zeros.
    File(FinishedFile),
    /// A planned file system, at most as long as the part; the rest is zeros.
    FileSystem(Box<dyn Plan>),
}

impl Image {
    /// The number of bytes that [`write()`] copies from files and reports to its `progress`. Tables
    /// and generated metadata are not included.
    pub(crate) fn data_length(&self) -> u64 {
        self.parts
            .iter()
            .flat_map(|part| part.content.copied())
            .map(|extent| extent.length)
            .sum()
    }
}
