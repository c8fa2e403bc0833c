//! The features of the three types of file systems, as `mke2fs.conf` of Debian and nixpkgs lists
//! them. Everything in which the types differ depends on a feature, not on the type.

use super::ondisk::{
    BLOCK_SIZE, Block, DirEntryTail, GroupDesc, feature_compat, feature_incompat, feature_ro_compat,
};
use super::{block_map, inode};

/// Number of groups whose bitmaps and inode tables are stored together.
pub const FLEX_SIZE: u64 = 16;

/// The features and limits of a type.
#[derive(Debug, PartialEq, Eq)]
pub struct Features {
    /// The type's name, for messages.
    pub name: &'static str,
    /// Features, except `resize_inode`, which also depends on the length.
    pub compat: u32,
    /// Features that are required for mounting.
    pub incompat: u32,
    /// Features that are required for writing.
    pub ro_compat: u32,
    /// Maximum number of hard links to an inode, `.` and the `..` of subdirectories included.
    pub max_links: u32,
    /// First and last second that an inode can represent.
    pub seconds: (i64, i64),
    /// Whether every driver reads extended attributes in inodes.
    pub attributes_in_inodes: bool,
}

const COMPAT: u32 = feature_compat::EXT_ATTR | feature_compat::DIR_INDEX;
const RO_COMPAT: u32 = feature_ro_compat::SPARSE_SUPER | feature_ro_compat::LARGE_FILE;

/// ext2. Linux has two drivers for it: ext4's, and one of its own (`CONFIG_EXT2_FS`), which reads
/// the first 128 bytes of an inode. That has no room for attributes and 32 bits for seconds.
pub static EXT2: Features = Features {
    name: "ext2",
    compat: COMPAT,
    incompat: feature_incompat::FILETYPE,
    ro_compat: RO_COMPAT,
    max_links: 32_000,
    seconds: (-(1 << 31), (1 << 31) - 1),
    attributes_in_inodes: false,
};

/// ext3: ext2 with a journal.
pub static EXT3: Features = Features {
    name: "ext3",
    compat: COMPAT | feature_compat::HAS_JOURNAL,
    seconds: inode::SECONDS,
    attributes_in_inodes: true,
    ..EXT2
};

/// ext4.
pub static EXT4: Features = Features {
    name: "ext4",
    compat: COMPAT | feature_compat::HAS_JOURNAL,
    incompat: feature_incompat::FILETYPE
        | feature_incompat::EXTENTS
        | feature_incompat::BIT64
        | feature_incompat::FLEX_BG,
    ro_compat: RO_COMPAT
        | feature_ro_compat::HUGE_FILE
        | feature_ro_compat::DIR_NLINK
        | feature_ro_compat::EXTRA_ISIZE
        | feature_ro_compat::METADATA_CSUM,
    max_links: 65_000,
    ..EXT3
};

impl Features {
    /// Whether changes are written to a journal first, provided that there is room for one.
    pub fn journal(&self) -> bool {
        self.compat & feature_compat::HAS_JOURNAL != 0
    }

    /// Whether an inode has an extent tree instead of a block map.
    pub fn extents(&self) -> bool {
        self.incompat & feature_incompat::EXTENTS != 0
    }

    /// Whether the numbers of blocks have more than 32 bits.
    pub fn bit64(&self) -> bool {
        self.incompat & feature_incompat::BIT64 != 0
    }

    /// Whether the bitmaps and inode tables of several groups are stored together.
    pub fn flex_bg(&self) -> bool {
        self.incompat & feature_incompat::FLEX_BG != 0
    }

    /// Whether metadata have checksums. Only then may a bitmap that follows from the geometry be
    /// left out.
    pub fn metadata_csum(&self) -> bool {
        self.ro_compat & feature_ro_compat::METADATA_CSUM != 0
    }

    /// Whether a directory can have more subdirectories than links. The link count is then 1.
    pub fn dir_nlink(&self) -> bool {
        self.ro_compat & feature_ro_compat::DIR_NLINK != 0
    }

    /// Returns the number of bytes in a group descriptor.
    pub fn descriptor_size(&self) -> usize {
        match self.bit64() {
            true => size_of::<GroupDesc>(),
            false => GroupDesc::SIZE_32,
        }
    }

    /// Returns the number of bytes for entries in a block of a directory. With checksums, the rest
    /// is a tail.
    pub fn entry_space(&self) -> usize {
        match self.metadata_csum() {
            true => size_of::<Block>() - size_of::<DirEntryTail>(),
            false => size_of::<Block>(),
        }
    }

    /// Returns the number of blocks in the largest file system: 16 TiB or, without `64bit`, as many
    /// as there are numbers.
    pub fn most_blocks(&self) -> u64 {
        match self.bit64() {
            true => 1 << 32,
            false => u64::from(u32::MAX),
        }
    }

    /// Returns the length of the longest file in bytes.
    pub fn longest_file(&self) -> u64 {
        match self.extents() {
            // Blocks within a file have 32-bit numbers. The last number is not used.
            true => u64::from(u32::MAX) * BLOCK_SIZE,
            false => block_map::MOST_BLOCKS * BLOCK_SIZE,
        }
    }
}
