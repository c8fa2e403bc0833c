//! The superblock (kernel, Documentation/filesystems/ext4/super.rst).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct ext4_super_block`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SuperBlock {
    /// Total number of inodes.
    pub s_inodes_count: U32,
    /// Total number of blocks.
    pub s_blocks_count_lo: U32,
    /// Number of blocks that only root can fill.
    pub s_r_blocks_count_lo: U32,
    /// Number of free blocks.
    pub s_free_blocks_count_lo: U32,
    /// Number of free inodes.
    pub s_free_inodes_count: U32,
    pub s_first_data_block: U32,
    /// A block is 2^(10 + this) bytes.
    pub s_log_block_size: U32,
    /// A cluster is 2^(10 + this) bytes.
    pub s_log_cluster_size: U32,
    /// Blocks per group.
    pub s_blocks_per_group: U32,
    /// Clusters per group.
    pub s_clusters_per_group: U32,
    /// Inodes per group.
    pub s_inodes_per_group: U32,
    pub s_mtime: U32,
    /// Time of the last write.
    pub s_wtime: U32,
    pub s_mnt_count: U16,
    /// Number of mounts after which the file system should be checked.
    pub s_max_mnt_count: U16,
    /// [`SuperBlock::MAGIC`].
    pub s_magic: U16,
    /// 1 if the file system was cleanly unmounted.
    pub s_state: U16,
    /// What to do on errors; 1 is to continue.
    pub s_errors: U16,
    pub s_minor_rev_level: U16,
    /// Time of the last check.
    pub s_lastcheck: U32,
    pub s_checkinterval: U32,
    pub s_creator_os: U32,
    /// Revision; from 1 on, inodes may be larger than 128 bytes.
    pub s_rev_level: U32,
    pub s_def_resuid: U16,
    pub s_def_resgid: U16,
    /// First inode that is not reserved.
    pub s_first_ino: U32,
    /// Bytes per inode.
    pub s_inode_size: U16,
    /// The group that contains this copy.
    pub s_block_group_nr: U16,
    /// Features; see [`feature_compat`].
    pub s_feature_compat: U32,
    /// Features that are required for mounting; see [`feature_incompat`].
    pub s_feature_incompat: U32,
    /// Features that are required for writing; see [`feature_ro_compat`].
    pub s_feature_ro_compat: U32,
    /// The UUID.
    pub s_uuid: [u8; 16],
    /// The label.
    pub s_volume_name: [u8; 16],
    pub s_last_mounted: [u8; 64],
    pub s_algorithm_usage_bitmap: U32,
    pub s_prealloc_blocks: u8,
    pub s_prealloc_dir_blocks: u8,
    /// Number of blocks reserved after the group descriptors for more of them.
    pub s_reserved_gdt_blocks: U16,
    pub s_journal_uuid: [u8; 16],
    /// The inode of the journal.
    pub s_journal_inum: U32,
    pub s_journal_dev: U32,
    pub s_last_orphan: U32,
    /// The seed for the hashes of names.
    pub s_hash_seed: [u8; 16],
    /// The hash algorithm; 1 is half MD4.
    pub s_def_hash_version: u8,
    /// 1 if `s_jnl_blocks` is a copy of the journal's inode.
    pub s_jnl_backup_type: u8,
    /// Bytes per group descriptor.
    pub s_desc_size: U16,
    /// Default mount options.
    pub s_default_mount_opts: U32,
    pub s_first_meta_bg: U32,
    /// Time of creation.
    pub s_mkfs_time: U32,
    /// `i_block` of the journal, then `i_size_high` and `i_size_lo`.
    pub s_jnl_blocks: [U32; 17],
    /// The high half of `s_blocks_count_lo`.
    pub s_blocks_count_hi: U32,
    /// The high half of `s_r_blocks_count_lo`.
    pub s_r_blocks_count_hi: U32,
    /// The high half of `s_free_blocks_count_lo`.
    pub s_free_blocks_count_hi: U32,
    /// Size of the fields beyond 128 bytes in every inode.
    pub s_min_extra_isize: U16,
    /// Size of the fields beyond 128 bytes in new inodes.
    pub s_want_extra_isize: U16,
    /// 1 if the bytes of hashed names are signed.
    pub s_flags: U32,
    pub s_raid_stride: U16,
    pub s_mmp_update_interval: U16,
    pub s_mmp_block: U64,
    pub s_raid_stripe_width: U32,
    /// A flexible group has 2^this groups.
    pub s_log_groups_per_flex: u8,
    /// The checksum algorithm; 1 is CRC-32C.
    pub s_checksum_type: u8,
    pub s_encryption_level: u8,
    pub s_reserved_pad: u8,
    /// KiB written over the lifetime of the file system.
    pub s_kbytes_written: U64,
    pub s_snapshot_inum: U32,
    pub s_snapshot_id: U32,
    pub s_snapshot_r_blocks_count: U64,
    pub s_snapshot_list: U32,
    pub s_error_count: U32,
    pub s_first_error_time: U32,
    pub s_first_error_ino: U32,
    pub s_first_error_block: U64,
    pub s_first_error_func: [u8; 32],
    pub s_first_error_line: U32,
    pub s_last_error_time: U32,
    pub s_last_error_ino: U32,
    pub s_last_error_line: U32,
    pub s_last_error_block: U64,
    pub s_last_error_func: [u8; 32],
    pub s_mount_opts: [u8; 64],
    pub s_usr_quota_inum: U32,
    pub s_grp_quota_inum: U32,
    /// Number of blocks that the file system uses itself.
    pub s_overhead_clusters: U32,
    pub s_backup_bgs: [U32; 2],
    pub s_encrypt_algos: [u8; 4],
    pub s_encrypt_pw_salt: [u8; 16],
    pub s_lpf_ino: U32,
    pub s_prj_quota_inum: U32,
    pub s_checksum_seed: U32,
    /// Bits 32 to 39 of `s_wtime`.
    pub s_wtime_hi: u8,
    pub s_mtime_hi: u8,
    /// Bits 32 to 39 of `s_mkfs_time`.
    pub s_mkfs_time_hi: u8,
    /// Bits 32 to 39 of `s_lastcheck`.
    pub s_lastcheck_hi: u8,
    pub s_first_error_time_hi: u8,
    pub s_last_error_time_hi: u8,
    pub s_first_error_errcode: u8,
    pub s_last_error_errcode: u8,
    pub s_encoding: U16,
    pub s_encoding_flags: U16,
    pub s_orphan_file_inum: U32,
    pub s_reserved: [U32; 94],
    /// CRC-32C of everything before it.
    pub s_checksum: U32,
}

const _: () = assert!(size_of::<SuperBlock>() == 1024);

impl SuperBlock {
    /// Offset of the first copy in the file system.
    pub const OFFSET: u64 = 1024;

    /// `EXT4_SUPER_MAGIC`.
    pub const MAGIC: U16 = U16::new(0xef53);
}

/// Bits of `s_feature_compat`: `EXT4_FEATURE_COMPAT_*`.
pub mod feature_compat {
    pub const HAS_JOURNAL: u32 = 0x4;
    pub const EXT_ATTR: u32 = 0x8;
    pub const RESIZE_INODE: u32 = 0x10;
    pub const DIR_INDEX: u32 = 0x20;
}

/// Bits of `s_feature_incompat`: `EXT4_FEATURE_INCOMPAT_*`.
pub mod feature_incompat {
    pub const FILETYPE: u32 = 0x2;
    pub const EXTENTS: u32 = 0x40;
    /// `64bit`.
    pub const BIT64: u32 = 0x80;
    pub const FLEX_BG: u32 = 0x200;
}

/// Bits of `s_feature_ro_compat`: `EXT4_FEATURE_RO_COMPAT_*`.
pub mod feature_ro_compat {
    pub const SPARSE_SUPER: u32 = 0x1;
    pub const LARGE_FILE: u32 = 0x2;
    pub const HUGE_FILE: u32 = 0x8;
    pub const DIR_NLINK: u32 = 0x20;
    pub const EXTRA_ISIZE: u32 = 0x40;
    pub const METADATA_CSUM: u32 = 0x400;
}
