//! An [`Image`]: the whole disk as parts, and the one step that moves bytes.

use std::path::PathBuf;
use std::sync::Arc;

use crate::fs::Plan;
use crate::tree::Tree;

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
    File(PathBuf),
    /// A planned file system and the tree it holds.
    FileSystem {
        /// Where every byte goes.
        plan: Box<dyn Plan>,
        /// Where the bytes of files come from.
        tree: Arc<Tree>,
    },
}
