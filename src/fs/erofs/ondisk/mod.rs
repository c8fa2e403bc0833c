//! On-disk structures, with the kernel's names of structures and fields (`fs/erofs/erofs_fs.h`).
//! Fields that are never set have no comment.

mod directory;
mod index;
mod inode;
mod superblock;
mod xattr;

pub use directory::{Dirent, file_type};
pub use index::{ClusterType, MapHeader, advise};
pub use inode::{InodeCompact, InodeExtended, NO_BLOCK, layout};
pub use superblock::{
    DeflateCfgs, Lz4Cfgs, SuperBlock, ZstdCfgs, algorithm, feature_compat, feature_incompat,
};
pub use xattr::{XattrEntry, XattrIbodyHeader};

/// Size of a block in bytes.
pub const BLOCK_SIZE: u64 = 4096;

/// The numbers of inodes ("nid") are their places in this unit, in bytes.
pub const SLOT_SIZE: u64 = 32;
