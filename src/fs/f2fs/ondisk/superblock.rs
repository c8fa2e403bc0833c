//! The superblock.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct f2fs_super_block`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct SuperBlock {
    /// [`SuperBlock::MAGIC`].
    pub magic: U32,
    /// Version of the format.
    pub major_ver: U16,
    /// Version of the format.
    pub minor_ver: U16,
    /// Binary logarithm of the sector size in bytes.
    pub log_sectorsize: U32,
    /// Binary logarithm of the number of sectors in a block.
    pub log_sectors_per_block: U32,
    /// Binary logarithm of the block size in bytes.
    pub log_blocksize: U32,
    /// Binary logarithm of the number of blocks in a segment.
    pub log_blocks_per_seg: U32,
    /// Number of segments in a section.
    pub segs_per_sec: U32,
    /// Number of sections in a zone.
    pub secs_per_zone: U32,
    pub checksum_offset: U32,
    /// Number of blocks of the file system.
    pub block_count: U64,
    /// Number of sections in the main area.
    pub section_count: U32,
    /// Number of segments, without the one that contains the superblocks.
    pub segment_count: U32,
    /// Number of segments for checkpoints, and likewise for the other areas.
    pub segment_count_ckpt: U32,
    pub segment_count_sit: U32,
    pub segment_count_nat: U32,
    pub segment_count_ssa: U32,
    pub segment_count_main: U32,
    /// Address of the first segment.
    pub segment0_blkaddr: U32,
    /// Address of the first checkpoint, and likewise for the other areas.
    pub cp_blkaddr: U32,
    pub sit_blkaddr: U32,
    pub nat_blkaddr: U32,
    pub ssa_blkaddr: U32,
    pub main_blkaddr: U32,
    /// Number of the root directory's inode.
    pub root_ino: U32,
    /// Numbers of two inodes that exist only in memory.
    pub node_ino: U32,
    pub meta_ino: U32,
    /// UUID.
    pub uuid: [u8; 16],
    /// The label in UTF-16.
    pub volume_name: [U16; 512],
    /// Number of extensions of files with cold data. They come first in the list.
    pub extension_count: U32,
    /// Extensions of the names of files with cold or hot data.
    pub extension_list: [[u8; 8]; 64],
    /// Number of blocks after a checkpoint for its bitmap of SIT blocks.
    pub cp_payload: U32,
    /// The system that changed the file system last.
    pub version: [u8; 256],
    /// The system that made it.
    pub init_version: [u8; 256],
    pub feature: U32,
    pub encryption_level: u8,
    pub encrypt_pw_salt: [u8; 16],
    pub devs: [[u8; 68]; 8],
    pub qf_ino: [U32; 3],
    /// Number of extensions of files with hot data.
    pub hot_ext_count: u8,
    pub s_encoding: U16,
    pub s_encoding_flags: U16,
    pub s_stop_reason: [u8; 32],
    pub s_errors: [u8; 16],
    pub reserved: [u8; 258],
    pub crc: U32,
}

const _: () = assert!(size_of::<SuperBlock>() == 3072);

impl SuperBlock {
    /// `F2FS_SUPER_OFFSET`: where it begins in each of the first two blocks.
    pub const OFFSET: usize = 1024;

    /// `F2FS_SUPER_MAGIC`. Checksums begin with it, too.
    pub const MAGIC: u32 = 0xf2f5_2010;
}
