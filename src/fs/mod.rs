//! File systems: from a [`Tree`] to the exact bytes of a partition.
//!
//! A writer plans first. The [`Plan`] knows where every byte will be, without having read a byte
//! of any file; the data of files is then copied by whoever writes the image.

mod ext4;
pub mod fat;

pub use ext4::Ext4;

use std::sync::Arc;

use crate::tree::{InodeId, Timestamp, Tree};
use uuid::Uuid;

/// A part of a file's bytes and where it goes. Lengths and offsets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataExtent {
    /// The regular file.
    pub inode: InodeId,
    /// Where the part begins in the file.
    pub file_offset: u64,
    /// Where it begins in the file system; a multiple of the block size.
    pub offset: u64,
    /// How long it is; what is left of its last block is zeros.
    pub length: u64,
}

/// A file system that is laid out to the last byte.
///
/// Every byte of it is metadata, or in a data extent, or zero.
pub trait Plan: Send + Sync {
    /// Length of the file system in bytes.
    fn length(&self) -> u64;

    /// How much of it is used and free.
    fn usage(&self) -> Usage;

    /// Where the bytes of files go, ordered by `offset`.
    fn data(&self) -> &[DataExtent];

    /// Hands all metadata to `emit` as (offset in bytes, bytes), each byte once. The pieces come
    /// in ascending order and need not be adjacent; what is in none of them, nor in
    /// [`Plan::data`], is zero.
    ///
    /// # Errors
    /// Only those of `emit`.
    fn metadata(
        &self,
        emit: &mut dyn FnMut(u64, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()>;
}

/// How much of a file system is used and free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Length of the file system in bytes.
    pub length: u64,
    /// Bytes an ordinary user can still fill, as Linux counts them: `f_bavail` of statfs(2).
    pub available: u64,
    /// Bytes root can still fill, which are those that Linux doesn't keep for itself.
    pub available_to_root: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes taken, those of the file system itself included.
    pub inodes_used: u64,
}

/// What a file system needs that is not in its tree.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file system's UUID; directory hash seeds are derived from it.
    pub uuid: Uuid,
    /// The volume label.
    pub label: String,
    /// All times that the file system has of its own.
    pub time: Timestamp,
}

/// A kind of file system that can hold a [`Tree`].
pub trait Format {
    /// Looks at everything in `tree`. What is made of it keeps the tree: names and modes are not
    /// held twice.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] when something in the tree has no form in this file system.
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError>;
}

/// A tree whose needs are known: it can be laid out in file systems of different lengths.
pub trait Counted {
    /// Lays the tree out in a file system of exactly `length` bytes.
    ///
    /// # Errors
    /// [`PlanError::TooSmall`] when it does not fit, [`PlanError::Unrepresentable`] when there is
    /// no file system of that length.
    fn plan(&self, length: u64) -> Result<Box<dyn Plan>, PlanError>;

    /// The smallest file system, in bytes, that holds the tree and leaves `free` bytes to ordinary
    /// users ([`Usage::available`]); with 0 it may be full to the last block, for root too.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] when no file system is large enough.
    fn smallest(&self, free: u64) -> Result<u64, PlanError>;
}

/// Why a tree has no place in a file system.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file system is too small.
    #[error("{needed} bytes and {inodes} inodes are needed and there are {length} bytes")]
    TooSmall {
        /// Bytes that a file system needs which just holds the tree.
        needed: u64,
        /// Inodes that the tree takes.
        inodes: u64,
        /// Bytes there are.
        length: u64,
    },
    /// Something in the tree can't be said in this file system: one line for each such thing, with
    /// its path (escaped) and the limit it breaks.
    #[error("{} can't be stored:\n{}", .0.len(), crate::excerpt::list(.0, "\n"))]
    Unrepresentable(Vec<String>),
    /// The writer itself failed.
    #[error("planning the file system failed: {0}")]
    Writer(String),
}
