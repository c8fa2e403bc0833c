//! The sizes of a file system, checked.

use anyhow::{Result, ensure};
use zerocopy::IntoBytes;

use super::features::{self, compat, incompat, ro_compat};
use crate::fs::Ext4SuperBlock;
use crate::volume::Volume;
use crate::volume::field::text;

/// The largest block is 2^(10 + this) bytes: 64 KiB.
const LARGEST_LOG: u32 = 6;

/// The size of an inode in revision 0, in bytes.
const OLD_INODE: u64 = 128;

/// The number of groups in a file system of 16 TiB with blocks of 1 KiB.
const MOST_GROUPS: u64 = 1 << 21;

/// Sizes and places.
pub struct Geometry {
    /// Bytes of a block.
    pub block: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// The first block of the first group.
    pub first: u64,
    /// Blocks of a group.
    pub group: u64,
    /// Number of groups.
    pub groups: u64,
    /// Inodes of a group.
    pub inodes_per_group: u64,
    /// Number of inodes.
    pub inodes: u64,
    /// Bytes of an inode.
    pub inode: u64,
    /// Bytes of a group descriptor.
    pub descriptor: u64,
    /// Blocks reserved for more group descriptors.
    pub reserved: u64,
    /// The first meta block group, with the feature `meta_bg`.
    pub first_meta: Option<u64>,
    /// Whether directory entries have the type of a file.
    pub has_types: bool,
    /// The inode of the journal, or 0.
    pub journal: u64,
    /// Whether groups may leave their bitmaps and inodes uninitialized.
    pub may_be_uninitialized: bool,
    /// The groups that have copies of the superblock.
    pub backups: Backups,
}

/// The groups that have copies of the superblock.
pub enum Backups {
    All,
    /// Groups 0 and 1, and the powers of 3, 5 and 7.
    Sparse,
    /// Group 0 and these.
    Two([u32; 2]),
}

impl Geometry {
    /// Reads the superblock of a file system in a partition of `length` bytes.
    ///
    /// # Errors
    /// If values are impossible.
    pub fn new(found: &Ext4SuperBlock, length: u64) -> Result<Geometry> {
        if found.s_feature_ro_compat.get() & ro_compat::METADATA_CSUM != 0 {
            let (bytes, _) = found.as_bytes().split_at(size_of::<Ext4SuperBlock>() - 4);
            ensure!(
                !crc32c::crc32c(bytes) == found.s_checksum.get(),
                "the checksum of the superblock does not match: it is damaged"
            );
        }
        let log = found.s_log_block_size.get();
        ensure!(
            log <= LARGEST_LOG,
            "the superblock declares blocks of 2^{} bytes",
            u64::from(log).saturating_add(10)
        );
        let block = 1024_u64 << log;
        let blocks = blocks(found);
        let size = blocks.saturating_mul(block);
        ensure!(
            size <= length,
            "the superblock declares {blocks} blocks of {block} bytes, but the partition has {length} \
             bytes: it is truncated or damaged"
        );
        let first = u64::from(found.s_first_data_block.get());
        let group = u64::from(found.s_blocks_per_group.get());
        ensure!(
            first < blocks && (1..=block.saturating_mul(8 << 16)).contains(&group),
            "the superblock declares {blocks} blocks from block {first} on, in groups of {group}"
        );
        let groups = blocks.saturating_sub(first).div_ceil(group);
        let inodes_per_group = u64::from(found.s_inodes_per_group.get());
        let inodes = u64::from(found.s_inodes_count.get());
        ensure!(
            (1..=block.saturating_mul(8)).contains(&inodes_per_group)
                && inodes <= groups.saturating_mul(inodes_per_group),
            "the superblock declares {inodes} inodes, and {inodes_per_group} in each of {groups} groups"
        );
        ensure!(
            groups <= MOST_GROUPS,
            "the superblock declares {groups} groups, but at most {MOST_GROUPS} are supported"
        );
        let inode = match found.s_rev_level.get() {
            0 => OLD_INODE,
            _ => found.s_inode_size.get().into(),
        };
        ensure!(
            (OLD_INODE..=block).contains(&inode) && inode.is_power_of_two(),
            "the superblock declares inodes of {inode} bytes"
        );
        let features = found.s_feature_incompat.get();
        let descriptor: u64 = match features & incompat::BIT64 != 0 {
            true => found.s_desc_size.get().into(),
            false => 32,
        };
        ensure!(
            (32..=1024).contains(&descriptor) && descriptor.is_power_of_two(),
            "the superblock declares group descriptors of {descriptor} bytes"
        );
        let sparse = found.s_feature_ro_compat.get() & ro_compat::SPARSE_SUPER != 0;
        let two = found.s_feature_compat.get() & compat::SPARSE_SUPER2 != 0;
        let checksums = ro_compat::GDT_CSUM | ro_compat::METADATA_CSUM;
        Ok(Geometry {
            block,
            blocks,
            first,
            group,
            groups,
            inodes_per_group,
            inodes,
            inode,
            descriptor,
            reserved: found.s_reserved_gdt_blocks.get().into(),
            first_meta: (features & incompat::META_BG != 0)
                .then(|| found.s_first_meta_bg.get().into()),
            has_types: features & incompat::FILETYPE != 0,
            journal: match found.s_feature_compat.get() & compat::HAS_JOURNAL != 0 {
                true => found.s_journal_inum.get().into(),
                false => 0,
            },
            may_be_uninitialized: found.s_feature_ro_compat.get() & checksums != 0,
            backups: match (two, sparse) {
                (true, _) => Backups::Two(found.s_backup_bgs.map(|group| group.get())),
                (false, true) => Backups::Sparse,
                (false, false) => Backups::All,
            },
        })
    }

    /// The first block of a group.
    pub fn group_start(&self, group: u64) -> u64 {
        self.first.saturating_add(group.saturating_mul(self.group))
    }

    /// Whether a group begins with a superblock.
    pub fn has_superblock(&self, group: u64) -> bool {
        let is_power = |base: u64| {
            let powers = std::iter::successors(Some(base), |power| power.checked_mul(base));
            powers
                .take_while(|&power| power <= group)
                .any(|power| power == group)
        };
        match self.backups {
            _ if group == 0 => true,
            Backups::All => true,
            Backups::Sparse => group == 1 || [3, 5, 7].into_iter().any(is_power),
            Backups::Two(groups) => groups.iter().any(|&it| u64::from(it) == group),
        }
    }

    /// The block of the superblock of a group. Where groups begin with block 0, as clusters of more than a
    /// block make them, and blocks have 1 KiB, the first one is still in block 1.
    pub fn superblock(&self, group: u64) -> u64 {
        match self.group_start(group) {
            0 if self.block == 1024 => 1,
            start => start,
        }
    }

    /// Group descriptors in a block.
    pub fn descriptors_per_block(&self) -> u64 {
        self.block / self.descriptor
    }

    /// The block of the descriptor of a group.
    pub fn descriptor_block(&self, group: u64) -> u64 {
        let index = group / self.descriptors_per_block();
        match self.first_meta {
            Some(first) if index >= first => {
                let group = index.saturating_mul(self.descriptors_per_block());
                let after = u64::from(self.has_superblock(group));
                self.superblock(group).saturating_add(after)
            }
            _ => self.superblock(0).saturating_add(1).saturating_add(index),
        }
    }
}

/// The number of blocks.
fn blocks(found: &Ext4SuperBlock) -> u64 {
    wide(
        found,
        found.s_blocks_count_lo.get(),
        found.s_blocks_count_hi.get(),
    )
}

/// A number whose high half exists with the feature `64bit`.
fn wide(found: &Ext4SuperBlock, low: u32, high: u32) -> u64 {
    match found.s_feature_incompat.get() & incompat::BIT64 != 0 {
        true => u64::from(high) << 32 | u64::from(low),
        false => low.into(),
    }
}

/// Fills in sizes and parameters, as the superblock says them.
pub fn describe(found: &Ext4SuperBlock, volume: &mut Volume) {
    let log = found.s_log_block_size.get().min(LARGEST_LOG);
    let block = 1024_u64 << log;
    let blocks = blocks(found);
    let free_low = found.s_free_blocks_count_lo.get();
    let free = wide(found, free_low, found.s_free_blocks_count_hi.get());
    let reserved_low = found.s_r_blocks_count_lo.get();
    let reserved = wide(found, reserved_low, found.s_r_blocks_count_hi.get());
    volume.size = blocks.checked_mul(block);
    volume.free = free.checked_mul(block);
    let used = blocks.checked_sub(free);
    volume.used = used.and_then(|used| used.checked_mul(block));
    let facts = &mut volume.facts;
    facts.add("block_size", block);
    facts.add("blocks", blocks);
    facts.add("free_blocks", free);
    facts.add("reserved_blocks", reserved);
    facts.add("inodes", found.s_inodes_count.get());
    facts.add("free_inodes", found.s_free_inodes_count.get());
    facts.add(
        "inode_size",
        match found.s_rev_level.get() {
            0 => 128,
            _ => found.s_inode_size.get(),
        },
    );
    facts.add("blocks_per_group", found.s_blocks_per_group.get());
    facts.add("inodes_per_group", found.s_inodes_per_group.get());
    facts.add("first_block", found.s_first_data_block.get());
    facts.add("features", features::names(found));
    facts.add("clean", found.s_state.get() & 1 != 0);
    facts.add("state", found.s_state.get());
    facts.add("errors_behavior", found.s_errors.get());
    facts.add("revision", found.s_rev_level.get());
    facts.add("default_mount_options", found.s_default_mount_opts.get());
    facts.add("mount_count", found.s_mnt_count.get());
    facts.add("maximum_mount_count", found.s_max_mnt_count.get());
    facts.add("last_mounted", text(&found.s_last_mounted));
    let wide_time = |low: u32, high: u8| u64::from(high) << 32 | u64::from(low);
    facts.add(
        "created",
        wide_time(found.s_mkfs_time.get(), found.s_mkfs_time_hi),
    );
    facts.add("mounted", wide_time(found.s_mtime.get(), found.s_mtime_hi));
    facts.add("written", wide_time(found.s_wtime.get(), found.s_wtime_hi));
    facts.add(
        "checked",
        wide_time(found.s_lastcheck.get(), found.s_lastcheck_hi),
    );
    facts.add("lifetime_kib_written", found.s_kbytes_written.get());
    facts.add("reserved_uid", found.s_def_resuid.get());
    facts.add("reserved_gid", found.s_def_resgid.get());
    facts.add("first_inode", found.s_first_ino.get());
    facts.add("journal_inode", found.s_journal_inum.get());
    facts.add("hash_version", found.s_def_hash_version);
    let seed = uuid::Uuid::from_bytes(found.s_hash_seed);
    facts.add("hash_seed", seed.to_string());
    facts.add("flags", found.s_flags.get());
    facts.add("reserved_gdt_blocks", found.s_reserved_gdt_blocks.get());
    facts.add("flex_groups_log", found.s_log_groups_per_flex);
    facts.add("error_count", found.s_error_count.get());
}
