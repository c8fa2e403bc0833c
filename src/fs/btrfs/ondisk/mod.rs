//! On-disk structures, with the kernel's names of structures and fields
//! (include/uapi/linux/btrfs_tree.h). Fields that are never set have no comment.

mod chunk;
mod directory;
mod extent;
mod inode;
mod key;
mod node;
mod root;
mod superblock;

pub use chunk::{BlockGroupItem, Chunk, DevExtent, DevItem, Stripe, block_group};
pub use directory::{DirItem, InodeExtref, InodeRef, RootRef, file_type};
pub use extent::{
    DataExtentItem, FileExtentItem, FileExtentRegular, FreeSpaceInfo, TreeBlockItem, compression,
};
pub use inode::{InodeItem, TimeSpec, inode_flags};
pub use key::{DiskKey, Key, item_type, objects};
pub use node::{Header, Item, KeyPtr};
pub use root::RootItem;
pub use superblock::{RootBackup, SuperBlock, compat_ro, incompat};

/// Size of a sector, the unit of data, in bytes.
pub const SECTOR_SIZE: u64 = 4096;

/// Size of a node of a tree in bytes. `mkfs.btrfs` takes 16 KiB.
pub const NODE_SIZE: u64 = 16_384;

/// The transaction in which everything is written. The number is that of a file system that
/// `mkfs.btrfs` has just made; any other would be as good.
pub const GENERATION: u64 = 8;

/// The number of the only device.
pub const DEVICE_ID: u64 = 1;
