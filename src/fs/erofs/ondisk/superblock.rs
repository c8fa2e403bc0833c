//! The superblock, and the configurations of compression algorithms that follow it.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct erofs_super_block`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SuperBlock {
    /// [`SuperBlock::MAGIC`].
    pub magic: U32,
    /// CRC-32C, without the final inversion, from the superblock to the end of its block.
    pub checksum: U32,
    /// Features; see [`feature_compat`].
    pub feature_compat: U32,
    /// A block is 2^this bytes.
    pub blkszbits: u8,
    /// The superblock is 128 bytes and 16 times this.
    pub sb_extslots: u8,
    /// The root directory.
    pub rootnid: U16,
    /// Number of inodes.
    pub inos: U64,
    /// Time of the file system and of all inodes in the compact form: seconds since 1970.
    pub epoch: U64,
    /// Nanoseconds of that time.
    pub fixed_nsec: U32,
    /// Number of blocks.
    pub blocks: U32,
    /// The block where inode 0 would be.
    pub meta_blkaddr: U32,
    /// The block where the shared extended attributes begin.
    pub xattr_blkaddr: U32,
    /// The UUID.
    pub uuid: [u8; 16],
    /// The label, with a zero at its end.
    pub volume_name: [u8; 16],
    /// Features that are required for mounting; see [`feature_incompat`].
    pub feature_incompat: U32,
    /// The algorithms in use: bit numbers are those of [`algorithm`].
    pub available_compr_algs: U16,
    pub extra_devices: U16,
    pub devt_slotoff: U16,
    pub dirblkbits: u8,
    pub xattr_prefix_count: u8,
    pub xattr_prefix_start: U32,
    pub packed_nid: U64,
    pub reserved: [u8; 24],
}

impl SuperBlock {
    /// Where the superblock begins, in bytes.
    pub const OFFSET: u64 = 1024;
    /// The value of `magic`.
    pub const MAGIC: U32 = U32::new(0xe0f5_e1e2);
    /// The value of `blkszbits`: blocks of 4 KiB.
    pub const BLOCK_BITS: u8 = 12;
}

/// Bits of [`SuperBlock::feature_compat`].
pub mod feature_compat {
    /// The superblock has a checksum.
    pub const SB_CHKSUM: u32 = 1;
    /// Times are times of modification.
    pub const MTIME: u32 = 2;
}

/// Bits of [`SuperBlock::feature_incompat`].
pub mod feature_incompat {
    /// Compressed data is at the end of its blocks, after zeros.
    pub const ZERO_PADDING: u32 = 0x1;
    /// The superblock is followed by configurations of algorithms, and compressed extents may take
    /// several blocks.
    pub const COMPR_CFGS: u32 = 0x2;
    /// There are files in chunks (`data_layout::CHUNK_BASED`).
    pub const CHUNKED_FILE: u32 = 0x4;
    /// The end of a file's compressed data may be stored with its inode.
    pub const ZTAILPACKING: u32 = 0x10;
}

/// Numbers of compression algorithms.
pub mod algorithm {
    /// LZ4 blocks.
    pub const LZ4: u8 = 0;
    /// Raw deflate.
    pub const DEFLATE: u8 = 2;
    /// Zstandard frames.
    pub const ZSTD: u8 = 3;
}

/// `struct z_erofs_lz4_cfgs`, after its length.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Lz4Cfgs {
    pub length: U16,
    /// The longest distance of a match in bytes.
    pub max_distance: U16,
    /// The number of blocks of the largest compressed extent.
    pub max_pclusterblks: U16,
    pub reserved: [u8; 10],
}

/// `struct z_erofs_deflate_cfgs`, after its length.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DeflateCfgs {
    pub length: U16,
    /// The window is 2^this bytes.
    pub windowbits: u8,
    pub reserved: [u8; 5],
}

/// `struct z_erofs_zstd_cfgs`, after its length.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ZstdCfgs {
    pub length: U16,
    pub format: u8,
    /// The window is 2^(10 + this) bytes.
    pub windowlog: u8,
    pub reserved: [u8; 4],
}
