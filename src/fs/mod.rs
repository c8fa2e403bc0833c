//! File systems: from a [`Tree`] to the bytes of a partition.
//!
//! There are three steps, each with a trait. A [`Format`] examines a tree and returns a [`Counted`],
//! which knows how much space the tree needs. That lays the tree out in a file system of a given
//! length and returns a [`Plan`], which provides the bytes.
//!
//! The traits fit two kinds of file systems:
//!
//! * Those with a writer of our own, such as ext4. Planning does not read any file. Metadata is
//!   generated on demand, and data extents are parts of the tree's files.
//! * Those whose bytes are complete after planning: a tool makes them, or they depend on the contents
//!   of the files (checksums, compression). Planning reads files with `source::Opener`, which detects
//!   changes, and writes a sparse [`FinishedFile`] in the work directory. Data extents are parts of it.
//!
//! Code that writes or reads an image handles both in the same way.

mod btrfs;
mod content;
mod data;
mod data_extent;
mod erofs;
pub(crate) mod ext4;
mod f2fs;
pub mod fat;
mod finished;
mod kinds;
mod number;
mod regular;
mod sink;
pub(crate) mod source;
mod squashfs;
#[cfg(test)]
pub(crate) mod tests;
mod xfs;

pub use btrfs::{Btrfs, Compression as BtrfsCompression};
pub use data::DataSource;
pub use data_extent::DataExtent;
pub use erofs::{Compression as ErofsCompression, Erofs};
pub(crate) use ext4::SuperBlock as Ext4SuperBlock;
pub use ext4::{Ext2, Ext3, Ext4};
pub use f2fs::F2fs;
pub use finished::FinishedFile;
pub(crate) use kinds::{Workspace, format};
pub use squashfs::{Compression as SquashfsCompression, Squashfs};
pub use xfs::Xfs;

use std::sync::Arc;

use uuid::Uuid;

pub(crate) use crate::layout::BLOCK;

use crate::tree::{Timestamp, Tree};

/// A kind of file system that can hold a [`Tree`], with everything needed to make one.
pub trait Format {
    /// Examines everything in `tree`. The result keeps a reference to the tree, so that names and
    /// modes are not stored twice.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] when this file system cannot represent something in the tree;
    /// [`PlanError::Failed`] when a file can't be read or a tool fails.
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError>;
}

/// A tree whose space requirements are known. It can be laid out in file systems of different
/// lengths.
///
/// Both methods can be called several times, with different lengths, until one fits. Work that does
/// not depend on the length belongs in [`Format::count`]. A plan is dropped before the next one is
/// made, because each takes memory for every file or space on disk. A plan that owns a
/// [`FinishedFile`] has unlinked it, so that dropping the plan frees the space.
///
/// A file system of the length that [`Counted::smallest`] returns must have `free` bytes available,
/// and so must a slightly longer one. Otherwise the search for a size does not end.
pub trait Counted {
    /// Lays the tree out in a file system of exactly `length` bytes.
    ///
    /// # Errors
    /// [`PlanError::TooSmall`] when the tree does not fit, [`PlanError::Unrepresentable`] when a
    /// file system cannot have that length, [`PlanError::Failed`] as for [`Format::count`].
    fn plan(&self, length: u64) -> Result<Box<dyn Plan>, PlanError>;

    /// Returns the length in bytes of the smallest file system that holds the tree and leaves
    /// `free` bytes to ordinary users ([`Usage::available`]). With 0, it may be full to the last
    /// block even for root.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] when no file system is large enough, [`PlanError::Failed`] as
    /// for [`Format::count`].
    fn smallest(&self, free: u64) -> Result<u64, PlanError>;
}

/// A completely laid out file system. It owns the tree or the files that it is made of.
///
/// Every byte of it is metadata, part of a data extent, or zero.
pub trait Plan: Send + Sync {
    /// Length of the file system in bytes.
    fn length(&self) -> u64;

    /// How much of the file system is used and free.
    fn usage(&self) -> Usage;

    /// The parts that are copied from files, ordered by `offset`.
    fn data(&self) -> &[DataExtent];

    /// Returns the file with the number `file` ([`DataExtent::file`]), or `None` if there is none.
    fn source(&self, file: u32) -> Option<DataSource<'_>>;

    /// Passes all metadata to `emit` as (offset in bytes, bytes), each byte once. The pieces come
    /// in ascending order and need not be adjacent. Bytes that are in none of them and not in
    /// [`Plan::data`] are zero. Every call emits the same bytes.
    ///
    /// # Errors
    /// Those of `emit`.
    fn metadata(
        &self,
        emit: &mut dyn FnMut(u64, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()>;
}

/// How much of a file system is used and free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Length of the file system in bytes.
    pub(crate) length: u64,
    /// Bytes that an ordinary user can still fill, as Linux counts them: `f_bavail` of statfs(2).
    pub available: u64,
    /// Bytes that root can still fill: the free ones except those that Linux reserves for itself.
    pub(crate) available_to_root: u64,
    /// Total number of inodes, or 0 if it is not fixed.
    pub(crate) inodes: u64,
    /// Inodes in use, including the file system's own.
    pub(crate) inodes_used: u64,
}

/// Properties of a file system that are not part of its tree.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file system's UUID; directory hash seeds are derived from it.
    pub uuid: Uuid,
    /// The volume label.
    pub label: String,
    /// The value of all the file system's own timestamps.
    pub time: Timestamp,
}

/// The reason why a tree cannot be stored in a file system.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file system is too small.
    #[error("{needed} bytes and {inodes} inodes are needed, but only {length} bytes are available")]
    TooSmall {
        /// Length in bytes of the smallest file system that holds the tree.
        needed: u64,
        /// Inodes that the tree needs.
        inodes: u64,
        /// Bytes available.
        length: u64,
    },
    /// Something in the tree cannot be represented in this file system. There is one line for each
    /// such problem, with its path (escaped) and the limit that it exceeds.
    #[error(
        "the file system cannot store the following ({} in total):\n{}",
        .0.len(),
        crate::excerpt::list(.0, "\n")
    )]
    Unrepresentable(Vec<String>),
    /// A file of the tree can't be read, or a tool or a system call failed.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}
