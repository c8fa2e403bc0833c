//! Encoding of the superblock.

use std::mem::offset_of;

use uuid::Uuid;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::features::FLEX_SIZE;
use super::geometry::Geometry;
use super::ondisk::{BLOCK_SIZE, IBlock, Inode, SuperBlock, feature_compat, put};
use super::{FIRST_FREE_INODE, INODE_SIZE, JOURNAL_INODE};
use super::{checksum, dirhash};
use crate::fs::number::{TooWide, le8, le16, le32, split64};
use crate::tree::Timestamp;

/// The contents of a superblock.
pub struct Superblock<'a> {
    /// The sizes.
    pub geometry: &'a Geometry,
    /// The file system's UUID.
    pub uuid: Uuid,
    /// Its label, at most 16 bytes.
    pub label: &'a [u8],
    /// The seed of directory hashes.
    pub hash_seed: dirhash::Seed,
    /// Time of creation.
    pub time: Timestamp,
    /// Number of free blocks.
    pub free_blocks: u64,
    /// Number of free inodes.
    pub free_inodes: u64,
    /// `i_block` of the journal.
    pub journal: IBlock,
}

impl Superblock<'_> {
    /// Encodes the copy in `group`. Backups do not have the flag for a clean file system.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn encode(&self, group: u64) -> Result<SuperBlock, TooWide> {
        let geometry = self.geometry;
        let features = geometry.features;
        let mut block = SuperBlock::new_zeroed();
        block.s_inodes_count = le32(geometry.inodes())?;
        (block.s_blocks_count_lo, block.s_blocks_count_hi) = split64(geometry.blocks);
        (block.s_r_blocks_count_lo, block.s_r_blocks_count_hi) = split64(geometry.reserved);
        (block.s_free_blocks_count_lo, block.s_free_blocks_count_hi) = split64(self.free_blocks);
        block.s_free_inodes_count = le32(self.free_inodes)?;
        block.s_log_block_size = U32::new(BLOCK_SIZE.ilog2() - 10);
        block.s_log_cluster_size = block.s_log_block_size;
        block.s_blocks_per_group = le32(geometry.blocks_per_group)?;
        block.s_clusters_per_group = block.s_blocks_per_group;
        block.s_inodes_per_group = le32(geometry.inodes_per_group)?;
        let (seconds, hi) = split64(self.time.seconds.cast_unsigned());
        let hi = le8(hi.get())?;
        (block.s_wtime, block.s_wtime_hi) = (seconds, hi);
        (block.s_lastcheck, block.s_lastcheck_hi) = (seconds, hi);
        (block.s_mkfs_time, block.s_mkfs_time_hi) = (seconds, hi);
        block.s_max_mnt_count = U16::new(0xffff); // no check after some number of mounts
        block.s_magic = SuperBlock::MAGIC;
        block.s_state = U16::new(u16::from(group == 0));
        block.s_errors = U16::new(1);
        block.s_rev_level = U32::new(1);
        block.s_first_ino = le32(FIRST_FREE_INODE)?;
        block.s_inode_size = le16(INODE_SIZE)?;
        block.s_block_group_nr = U16::new(u16::try_from(group).unwrap_or(u16::MAX));
        let mut compat = features.compat;
        if geometry.resize_inode {
            compat |= feature_compat::RESIZE_INODE;
        }
        match geometry.journal_blocks {
            0 => compat &= !feature_compat::HAS_JOURNAL,
            _ => self.journal(&mut block),
        }
        block.s_feature_compat = U32::new(compat);
        block.s_feature_incompat = U32::new(features.incompat);
        block.s_feature_ro_compat = U32::new(features.ro_compat);
        block.s_uuid = self.uuid.into_bytes();
        block.s_volume_name[..self.label.len()].copy_from_slice(self.label);
        block.s_reserved_gdt_blocks = le16(geometry.reserved_descriptor_blocks)?;
        block.s_hash_seed = self.hash_seed.0;
        block.s_def_hash_version = dirhash::HALF_MD4;
        if features.bit64() {
            block.s_desc_size = le16(features.descriptor_size())?;
        }
        block.s_default_mount_opts = U32::new(0xc); // user_xattr, acl
        block.s_min_extra_isize = U16::new(Inode::EXTRA_ISIZE);
        block.s_want_extra_isize = U16::new(Inode::EXTRA_ISIZE);
        block.s_flags = U32::new(1);
        if features.flex_bg() {
            block.s_log_groups_per_flex = le8(FLEX_SIZE.ilog2())?;
        }
        block.s_overhead_clusters = le32(geometry.overhead())?;
        if features.metadata_csum() {
            // All blocks in use count as written. Like mkfs, nothing counts them in types before
            // ext4.
            let used = geometry.blocks - self.free_blocks;
            block.s_kbytes_written = U64::new(used * (BLOCK_SIZE / 1024));
            block.s_checksum_type = 1;
            let summed = offset_of!(SuperBlock, s_checksum);
            block.s_checksum = U32::new(checksum::superblock(&block.as_bytes()[..summed]));
        }
        Ok(block)
    }

    /// Sets the number of the journal's inode and the copy of its block list.
    fn journal(&self, block: &mut SuperBlock) {
        block.s_journal_inum = U32::new(JOURNAL_INODE);
        block.s_jnl_backup_type = 1;
        let (lo, hi) = split64(self.geometry.journal_blocks * BLOCK_SIZE);
        put(block.s_jnl_blocks.as_mut_bytes(), 0, &self.journal);
        [block.s_jnl_blocks[15], block.s_jnl_blocks[16]] = [hi, lo];
    }
}
