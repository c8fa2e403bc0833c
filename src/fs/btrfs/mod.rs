//! A writer for btrfs file systems as `mkfs.btrfs` of btrfs-progs 6.14 makes them for one device,
//! filled with the files of a tree.
//!
//! Metadata and the chunk tree have two copies, data has one; nodes have 16 KiB; checksums are
//! CRC-32C; the features are `extref`, `skinny-metadata`, `no-holes` and `free-space-tree`. Data is
//! in the file system in the order of the tree, as single extents of up to 128 MiB. Files of up to
//! 2 KiB are within the metadata.
//!
//! Everything that needs the contents of files, which are checksums and compressed data, is done
//! while the tree is counted. The [`layout`] divides the device; all trees are then built from
//! sorted items. The format is documented at <https://btrfs.readthedocs.io> ("On-disk Format") and
//! in the kernel's include/uapi/linux/btrfs_tree.h. Where it leaves a choice, the writer does what
//! the kernel does.

mod btree;
mod census;
mod compression;
mod counted;
mod extent_tree;
mod extents;
mod fs_tree;
mod hash;
mod layout;
mod ondisk;
mod plan;
mod reading;
mod root_tree;
mod segments;
mod sink;
mod subvolumes;
mod superblock;
#[cfg(test)]
mod tests;
mod trees;
mod xattr;

pub use compression::Compression;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::{Counted, FinishedFile, Format, Options, PlanError};
use crate::tree::Tree;
use crate::{cores, escape};
use census::Census;
use counted::{CountedTree, Facts};
use extents::Extents;
use reading::{Read, Reading};
use segments::Purpose;
use trees::Uuids;

/// The btrfs writer.
#[derive(Debug, Clone)]
pub struct Btrfs {
    /// How data is compressed: in extents of 128 KiB, each of which is only compressed if that saves
    /// at least a sector of 4 KiB. Nothing is set for files that are written later; for these, mount
    /// with `compress=`.
    pub compression: Option<Compression>,
    /// The paths of directories in the tree that become subvolumes, absolute or relative to the
    /// root. They may be in one another. The root directory is the default subvolume.
    pub subvolumes: Vec<Box<[u8]>>,
    /// Whether data has checksums. Without them, no file is read before the file system is written,
    /// and nothing is compressed; the files of the tree then never get checksums, but new ones do.
    pub checksums: bool,
    /// The directory for a temporary file with the compressed data.
    pub directory: PathBuf,
}

impl Format for Btrfs {
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError> {
        let counted = self.count_on(cores::count(), tree, options)?;
        Ok(Box::new(counted))
    }
}

impl Btrfs {
    /// Like [`Format::count`], with `threads` threads.
    fn count_on(
        &self,
        threads: usize,
        tree: &Arc<Tree>,
        options: &Options,
    ) -> Result<CountedTree, PlanError> {
        let census = Census::new(tree, &self.subvolumes, options)?;
        let compression = self.compression.filter(|_| self.checksums);
        let purpose = match (self.checksums, compression) {
            (false, _) => Purpose::Nothing,
            (true, None) => Purpose::Checksums,
            (true, Some(_)) => Purpose::Compression,
        };
        let segments = segments::all(tree, &census, purpose);
        let mut compressed = None;
        let read = match self.checksums {
            true => {
                let file = match compression {
                    Some(_) => Some(Temporary::new(&self.directory)?),
                    None => None,
                };
                let reading = Reading {
                    tree,
                    census: &census,
                    segments: &segments,
                    compression: compression.zip(file.as_ref().map(|file| &file.file)),
                    threads,
                };
                let read = reading.read()?;
                compressed = file.map(Temporary::finish).transpose()?;
                read
            }
            false => Read::default(),
        };
        let extents = Extents::new(tree, &census, &segments, &read.stored);
        let facts = Facts {
            tree: Arc::clone(tree),
            census,
            extents,
            sums: read.sums,
            compressed,
            compression: compression.map_or(ondisk::compression::NONE, Compression::number),
            checksums: self.checksums,
            options: options.clone(),
            uuids: Uuids::new(options.uuid),
        };
        Ok(CountedTree::new(facts)?)
    }
}

/// A temporary file. Its name is removed when this is dropped.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    fn new(directory: &Path) -> Result<Temporary> {
        let path = directory.join("btrfs-compressed");
        let file =
            File::create_new(&path).with_context(|| format!("creating {}", escape::path(&path)))?;
        Ok(Temporary { file, path })
    }

    /// Opens the file for reading, and removes its name.
    fn finish(self) -> Result<FinishedFile> {
        FinishedFile::open(&self.path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The work directory is removed anyway.
        let _ = fs::remove_file(&self.path);
    }
}
