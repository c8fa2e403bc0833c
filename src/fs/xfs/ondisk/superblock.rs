//! The superblock.

use std::mem::offset_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct xfs_dsb`: in the first sector of each allocation group.
#[derive(Clone, FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Dsb {
    /// [`Dsb::MAGIC`].
    pub sb_magicnum: U32,
    /// Block size in bytes.
    pub sb_blocksize: U32,
    /// Number of blocks.
    pub sb_dblocks: U64,
    pub sb_rblocks: U64,
    pub sb_rextents: U64,
    pub sb_uuid: [u8; 16],
    /// The first block of the log.
    pub sb_logstart: U64,
    /// The root directory.
    pub sb_rootino: U64,
    /// The bitmap of the realtime section, which is empty.
    pub sb_rbmino: U64,
    /// The summary of that bitmap.
    pub sb_rsumino: U64,
    /// Realtime extents are 1 block long.
    pub sb_rextsize: U32,
    /// Blocks in an allocation group, except perhaps the last.
    pub sb_agblocks: U32,
    /// Number of allocation groups.
    pub sb_agcount: U32,
    pub sb_rbmblocks: U32,
    /// Length of the log in blocks.
    pub sb_logblocks: U32,
    /// Version and features: [`Dsb::VERSION`].
    pub sb_versionnum: U16,
    /// Sector size in bytes.
    pub sb_sectsize: U16,
    /// Inode size in bytes.
    pub sb_inodesize: U16,
    /// Inodes in a block.
    pub sb_inopblock: U16,
    /// The label.
    pub sb_fname: [u8; 12],
    /// Binary logarithms of these sizes: block, sector, inode, inodes in a block, and `sb_agblocks`
    /// (rounded up).
    pub sb_blocklog: u8,
    pub sb_sectlog: u8,
    pub sb_inodelog: u8,
    pub sb_inopblog: u8,
    pub sb_agblklog: u8,
    pub sb_rextslog: u8,
    /// Copies of the superblock have 1, as `mkfs.xfs` leaves them.
    pub sb_inprogress: u8,
    /// Highest percentage of the blocks that can be used for inodes.
    pub sb_imax_pct: u8,
    /// Number of inodes in all chunks.
    pub sb_icount: U64,
    /// Number of free inodes among them.
    pub sb_ifree: U64,
    /// Number of free blocks.
    pub sb_fdblocks: U64,
    pub sb_frextents: U64,
    pub sb_uquotino: U64,
    pub sb_gquotino: U64,
    pub sb_qflags: U16,
    pub sb_flags: u8,
    pub sb_shared_vn: u8,
    /// Alignment of inode chunks in blocks.
    pub sb_inoalignmt: U32,
    pub sb_unit: U32,
    pub sb_width: U32,
    pub sb_dirblklog: u8,
    pub sb_logsectlog: u8,
    pub sb_logsectsize: U16,
    /// 1: the log is not aligned.
    pub sb_logsunit: U32,
    /// More features: [`Dsb::FEATURES2`].
    pub sb_features2: U32,
    /// The same as `sb_features2`.
    pub sb_bad_features2: U32,
    pub sb_features_compat: U32,
    /// [`Dsb::RO_COMPAT`].
    pub sb_features_ro_compat: U32,
    /// [`Dsb::INCOMPAT`].
    pub sb_features_incompat: U32,
    pub sb_features_log_incompat: U32,
    /// CRC-32C of the sector.
    pub sb_crc: U32,
    /// Alignment of sparse inode chunks in blocks.
    pub sb_spino_align: U32,
    pub sb_pquotino: U64,
    pub sb_lsn: U64,
    pub sb_meta_uuid: [u8; 16],
}

const _: () = assert!(size_of::<Dsb>() == 264);

impl Dsb {
    /// `XFS_SB_MAGIC`.
    pub const MAGIC: U32 = U32::new(0x5846_5342);

    /// Offset of the checksum.
    pub const CHECKSUM: usize = offset_of!(Dsb, sb_crc);

    /// `XFS_SB_VERSION_5`, and the bits for link counts of 32 bits, aligned inodes, version 2 of the
    /// log and of directories, extent flags, and `sb_features2`.
    pub const VERSION: u16 = 0xb4a5;

    /// `XFS_SB_VERSION_ATTRBIT`: some inode has extended attributes.
    pub const ATTRIBUTES: u16 = 0x0010;

    /// `XFS_SB_VERSION2_*`: lazy counters, attributes version 2, project IDs of 32 bits, checksums.
    pub const FEATURES2: u32 = 0x18a;

    /// `XFS_SB_FEAT_RO_COMPAT_*`: FINOBT, RMAPBT, REFLINK and INOBTCNT.
    pub const RO_COMPAT: u32 = 0xf;

    /// `XFS_SB_FEAT_INCOMPAT_*`: FTYPE, SPINODES, BIGTIME and NREXT64.
    pub const INCOMPAT: u32 = 0x2b;
}
