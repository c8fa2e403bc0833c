//! squashfs, made by `sqfstar` of squashfs-tools, which reads a tar archive from a pipe. The archive
//! is made from the tree while it is read, so nothing is copied to a staging directory.
//!
//! What a tar archive has no place for (sockets, the root's attributes) or what `sqfstar` gets wrong
//! there (devices with a high minor number) is in options instead: see [`pseudo`].

mod archive;
mod census;
mod limits;
mod links;
mod ondisk;
mod plan;
mod pseudo;
mod sparse;
mod tool;
mod xattr;

use std::path::PathBuf;
use std::sync::Arc;

use super::{Counted, Format, Options, PlanError};
use crate::tree::Tree;
use census::Census;

/// How squashfs is compressed. Levels are those of each method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// DEFLATE in a zlib stream: 1 to 9.
    Gzip {
        /// The level.
        level: u8,
    },
    /// LZ4.
    Lz4,
    /// LZ4 by a slow search for the longest matches.
    Lz4Hc,
    /// LZMA2 in an xz stream.
    Xz,
    /// Zstandard: 1 to 22.
    Zstd {
        /// The level.
        level: u8,
    },
}

/// The maker of squashfs. It is read-only and has neither a label nor a UUID.
///
/// Times have whole seconds from 1970 to 2106; nanoseconds are dropped. Inode flags are dropped,
/// too, since squashfs has none.
#[derive(Debug, Clone)]
pub struct Squashfs {
    /// `sqfstar` of squashfs-tools 4.6 or newer.
    pub sqfstar: PathBuf,
    /// A directory for a temporary file of the size of the file system.
    pub directory: PathBuf,
    /// How everything is compressed.
    pub compression: Compression,
    /// The size of a block in bytes: a power of two from 4 KiB to 1 MiB. Each is compressed on its
    /// own. nixpkgs' `make-squashfs` uses 1 MiB, which gives the smallest images; random reads of
    /// big files are faster with less.
    pub block_size: u32,
    /// The number of threads that compress. It does not affect the bytes.
    pub threads: usize,
}

impl Format for Squashfs {
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError> {
        let census = Census::new(tree, options, self.block_size)?;
        let file = tool::run(self, tree, options, &census)?;
        Ok(Box::new(plan::Finished {
            file: Arc::new(file),
            inodes: census.inodes,
        }))
    }
}
