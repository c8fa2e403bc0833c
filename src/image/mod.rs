//! An [`Image`]: the whole disk as ranges of bytes, the one step that moves them, and a reader for
//! those who want to see the disk without that.
//!
//! What is on the disk is told in one place, [`Content`]: ranges that are copied from files, in a
//! list that can be searched and divided among threads; ranges that are made in memory, one after
//! the other; and zeros, which are all the rest. [`Image::ranges`] has the three in the order of the
//! disk. [`write()`] hands the first two to a sink (`sink::Sink`), copied ones on all cores, in any order; a
//! [`Reader`] looks up the first and has the second in a sparse file.

mod batch;
mod check;
mod content;
mod copy;
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

pub(crate) use lazy::{LazyImage, Reader};
pub use write::write;

/// A whole disk. What no part covers is zeros.
pub struct Image {
    /// Length of the disk in bytes.
    pub length: u64,
    /// The parts, ordered by `start`, none overlapping, all within `length`.
    pub parts: Vec<Part>,
}

/// A part of a disk.
pub struct Part {
    /// What it is, for people: "protective MBR and GPT", "root file system".
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
    /// How many bytes [`write()`] copies from files: the bytes it reports to its `progress`, which
    /// leaves out tables and metadata that is made.
    pub(crate) fn data_length(&self) -> u64 {
        self.parts
            .iter()
            .flat_map(|part| part.content.copied())
            .map(|extent| extent.length)
            .sum()
    }
}
