//! A writer for EROFS, a read-only file system, as `mkfs.erofs` of erofs-utils makes it.
//!
//! The format is documented in the kernel's Documentation/filesystems/erofs.rst and
//! `fs/erofs/erofs_fs.h`. A file system consists of the superblock, the inodes with everything that
//! is stored with them, shared extended attributes, blocks of directories, and the data of files.
//! What does not fill a block of a file is stored with its inode. Without compression, no file is
//! read during planning. With it, planning compresses all files to a file in the work directory.

mod acl;
mod census;
mod chunks;
mod compress;
mod directory;
mod index;
mod inode;
mod layout;
mod limits;
mod ondisk;
mod plan;
mod shape;
mod slots;
mod subject;
mod superblock;
mod xattr;

pub use compress::Compression;

use std::path::PathBuf;
use std::sync::Arc;

use super::{Counted, Format, Options, Plan, PlanError};
use crate::tree::Tree;
use census::Census;
use compress::Packed;
use layout::Layout;
use plan::{ErofsPlan, Planned};
use subject::Subject;

/// [`super::DataExtent::file`] of the file with compressed data. The others are indexes of inodes
/// in the tree.
const FINISHED: u32 = u32::MAX;

/// The EROFS writer.
#[derive(Debug, Clone)]
pub struct Erofs {
    /// How the contents of files are compressed, or `None` if they are not.
    pub compression: Option<Compression>,
    /// The directory for compressed data, in a file without a name. It is not used without
    /// compression.
    pub directory: PathBuf,
    /// The number of threads that compress and read files. The result does not depend on it.
    pub threads: usize,
}

impl Format for Erofs {
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError> {
        let census = Census::new(tree, options)?;
        let pack = |compression| {
            let order = &census.order;
            Packed::new(tree, order, compression, &self.directory, self.threads)
        };
        let packed = self.compression.map(pack).transpose()?;
        let layout = Layout::new(&Subject {
            tree,
            census: &census,
            packed: packed.as_ref(),
            options,
        })?;
        Ok(Box::new(CountedTree(Arc::new(Planned {
            tree: Arc::clone(tree),
            census,
            packed,
            options: options.clone(),
            layout,
            threads: self.threads,
        }))))
    }
}

/// A tree, laid out: there is only one way, whatever the length.
struct CountedTree(Arc<Planned>);

impl Counted for CountedTree {
    fn plan(&self, length: u64) -> Result<Box<dyn Plan>, PlanError> {
        let needed = self.0.length();
        if length < needed {
            return Err(PlanError::TooSmall {
                needed,
                inodes: self.0.inodes(),
                length,
            });
        }
        Ok(Box::new(ErofsPlan {
            planned: Arc::clone(&self.0),
            length,
        }))
    }

    fn smallest(&self, _free: u64) -> Result<u64, PlanError> {
        Ok(self.0.length())
    }
}
