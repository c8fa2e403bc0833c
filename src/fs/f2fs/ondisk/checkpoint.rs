//! Checkpoints.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// A block with a `struct f2fs_checkpoint`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Checkpoint {
    /// The checkpoint with the higher version counts.
    pub checkpoint_ver: U64,
    /// Number of blocks for files.
    pub user_block_count: U64,
    /// Number of blocks of nodes and data.
    pub valid_block_count: U64,
    /// Number of segments that are reserved for garbage collection.
    pub rsvd_segment_count: U32,
    /// Number of segments that files can't fill, including the reserved ones.
    pub overprov_segment_count: U32,
    /// Number of segments that are not in use.
    pub free_segment_count: U32,
    /// The segments to which nodes are being added: hot, warm, cold.
    pub cur_node_segno: [U32; 8],
    /// The number of blocks used in each of them.
    pub cur_node_blkoff: [U16; 8],
    /// The segments to which data is being added.
    pub cur_data_segno: [U32; 8],
    /// The number of blocks used in each of them.
    pub cur_data_blkoff: [U16; 8],
    /// See [`ckpt_flags`].
    pub ckpt_flags: U32,
    /// Number of blocks from this one to its copy at the end.
    pub cp_pack_total_block_count: U32,
    /// Where the summaries of data segments begin.
    pub cp_pack_start_sum: U32,
    /// Number of nodes.
    pub valid_node_count: U32,
    /// Number of inodes.
    pub valid_inode_count: U32,
    /// From where to search for a free node number.
    pub next_free_nid: U32,
    /// Size of the bitmap that tells which copies of SIT blocks are valid.
    pub sit_ver_bitmap_bytesize: U32,
    /// Size of the bitmap that tells which copies of NAT blocks are valid.
    pub nat_ver_bitmap_bytesize: U32,
    /// Offset of `checksum`.
    pub checksum_offset: U32,
    pub elapsed_time: U64,
    pub alloc_type: [u8; 16],
    pub sit_nat_version_bitmap: [u8; 3900],
    /// CRC-32 of everything before.
    pub checksum: U32,
}

const _: () = assert!(size_of::<Checkpoint>() == 4096);

impl Checkpoint {
    /// Size of both bitmaps together.
    pub const BITMAPS: u32 = 3900;

    /// `CP_CHKSUM_OFFSET`.
    pub const CHECKSUM_OFFSET: u32 = 4092;
}

/// Bits of `ckpt_flags`: `CP_*_FLAG`.
pub mod ckpt_flags {
    /// The file system was unmounted.
    pub const UMOUNT: u32 = 0x1;
    /// Bitmaps of full and empty NAT blocks follow the checkpoint.
    pub const NAT_BITS: u32 = 0x80;
    /// Free blocks have been discarded.
    pub const TRIMMED: u32 = 0x100;
}
