//! Which field of a structure a byte belongs to.

use super::{Ext, groups};
use crate::fs::Ext4SuperBlock;
use crate::fs::ext4::ondisk::{GroupDesc, Inode};
use crate::volume::explain::{Field, Meaning, Weight, field, fields};
use crate::volume::runs::{Owner, Owners};

/// Fields of an inode. What a listing shows is covered.
const INODE: [Field; 32] = fields!(Inode:
    i_mode Covered, i_uid Covered, i_size_lo Covered, i_atime Covered, i_ctime Covered,
    i_mtime Covered, i_dtime Own, i_gid Covered, i_links_count Covered, i_blocks_lo Own,
    i_flags Covered, l_i_version Own, i_block Own, i_generation Covered, i_file_acl_lo Own,
    i_size_high Covered, i_obso_faddr Own, l_i_blocks_high Own, l_i_file_acl_high Own,
    l_i_uid_high Covered, l_i_gid_high Covered, l_i_checksum_lo Derived, l_i_reserved Own,
    i_extra_isize Own, i_checksum_hi Derived, i_ctime_extra Covered, i_mtime_extra Covered,
    i_atime_extra Covered, i_crtime Covered, i_crtime_extra Covered, i_version_hi Own,
    i_projid Covered,
);

/// Fields of the superblock. What `inspect` shows is covered.
const SUPERBLOCK: [Field; 85] = fields!(Ext4SuperBlock:
    s_inodes_count Covered, s_blocks_count_lo Covered, s_r_blocks_count_lo Covered,
    s_free_blocks_count_lo Covered, s_free_inodes_count Covered, s_first_data_block Covered,
    s_log_block_size Covered, s_log_cluster_size Own, s_blocks_per_group Covered,
    s_clusters_per_group Own, s_inodes_per_group Covered, s_mtime Covered, s_wtime Covered,
    s_mnt_count Covered, s_max_mnt_count Covered, s_magic Own, s_state Covered, s_errors Covered,
    s_minor_rev_level Own, s_lastcheck Covered, s_checkinterval Own, s_creator_os Own,
    s_rev_level Covered, s_def_resuid Covered, s_def_resgid Covered, s_first_ino Covered,
    s_inode_size Covered, s_block_group_nr Own, s_feature_compat Covered,
    s_feature_incompat Covered, s_feature_ro_compat Covered, s_uuid Covered, s_volume_name Covered,
    s_last_mounted Covered, s_algorithm_usage_bitmap Own, s_prealloc_blocks Own,
    s_prealloc_dir_blocks Own, s_reserved_gdt_blocks Covered, s_journal_uuid Own,
    s_journal_inum Covered, s_journal_dev Own, s_last_orphan Own, s_hash_seed Covered,
    s_def_hash_version Covered, s_jnl_backup_type Own, s_desc_size Own, s_default_mount_opts Covered,
    s_first_meta_bg Own, s_mkfs_time Covered, s_jnl_blocks Own, s_blocks_count_hi Covered,
    s_r_blocks_count_hi Covered, s_free_blocks_count_hi Covered, s_min_extra_isize Own,
    s_want_extra_isize Own, s_flags Covered, s_raid_stride Own, s_mmp_update_interval Own,
    s_mmp_block Own, s_raid_stripe_width Own, s_log_groups_per_flex Covered, s_checksum_type Own,
    s_encryption_level Own, s_reserved_pad Own, s_kbytes_written Covered, s_snapshot_inum Own,
    s_error_count Covered, s_first_error_time Own, s_last_error_time Own, s_mount_opts Own,
    s_usr_quota_inum Own, s_grp_quota_inum Own, s_overhead_clusters Own, s_backup_bgs Own,
    s_encrypt_algos Own, s_encrypt_pw_salt Own, s_lpf_ino Own, s_prj_quota_inum Own,
    s_checksum_seed Own, s_wtime_hi Covered, s_mtime_hi Covered, s_encoding Own,
    s_orphan_file_inum Own, s_reserved Own, s_checksum Derived,
);

/// Fields of a group descriptor.
const DESCRIPTOR: [Field; 23] = fields!(GroupDesc:
    bg_block_bitmap_lo Own, bg_inode_bitmap_lo Own, bg_inode_table_lo Own,
    bg_free_blocks_count_lo Own, bg_free_inodes_count_lo Own, bg_used_dirs_count_lo Own, bg_flags Own,
    bg_exclude_bitmap_lo Own, bg_block_bitmap_csum_lo Derived, bg_inode_bitmap_csum_lo Derived,
    bg_itable_unused_lo Own, bg_checksum Derived, bg_block_bitmap_hi Own, bg_inode_bitmap_hi Own,
    bg_inode_table_hi Own, bg_free_blocks_count_hi Own, bg_free_inodes_count_hi Own,
    bg_used_dirs_count_hi Own, bg_itable_unused_hi Own, bg_exclude_bitmap_hi Own,
    bg_block_bitmap_csum_hi Derived, bg_inode_bitmap_csum_hi Derived, bg_reserved Own,
);

/// The name of the space after the fields of an inode, where extended attributes are.
const ATTRIBUTES: &str = "extended attributes in the inode";

/// The offset of the superblock and its size, in bytes.
const SUPERBLOCK_SIZE: u64 = size_of::<Ext4SuperBlock>() as u64;

/// Explains the byte `at`.
pub fn explain(ext: &Ext<'_>, owners: &Owners, at: u64) -> Meaning {
    let (owner, end) = owners.at(at);
    let geometry = &ext.geometry;
    let block_end = (at / geometry.block)
        .saturating_add(1)
        .saturating_mul(geometry.block);
    let plain = |structure: String, file: Option<u64>| Meaning {
        structure,
        field: None,
        end: end.min(block_end),
        weight: Weight::Own,
        file,
    };
    let copy = |what: &str, group: u32| match group {
        0 => what.to_owned(),
        group => format!("copy of the {what} in group {group}"),
    };
    match owner {
        Owner::Superblock(group) => {
            let start = end.saturating_sub(SUPERBLOCK_SIZE).min(at);
            let (found, field_end) = field(&SUPERBLOCK, SUPERBLOCK_SIZE, at.saturating_sub(start));
            // The parameters are those of the first one.
            let weight = match (group, found.weight) {
                (1.., Weight::Covered) => Weight::Own,
                (_, weight) => weight,
            };
            Meaning {
                structure: copy("superblock", group),
                field: Some(found.name),
                end: start.saturating_add(field_end).min(end),
                weight,
                file: None,
            }
        }
        Owner::Descriptors(group) => {
            let within = at.saturating_sub(owners.start(at));
            let start = at.saturating_sub(within % geometry.descriptor);
            let within = at.saturating_sub(start);
            let (found, field_end) = field(&DESCRIPTOR, geometry.descriptor, within);
            let index = start.saturating_sub(owners.start(at)) / geometry.descriptor;
            let of = format!("descriptor of group {index}");
            Meaning {
                structure: copy(&of, group),
                field: Some(found.name),
                end: start.saturating_add(field_end).min(end),
                weight: found.weight,
                file: None,
            }
        }
        Owner::InodeTable(group) => inode(ext, group.into(), at, end),
        Owner::ReservedDescriptors(_) => {
            plain("blocks for more group descriptors".to_owned(), None)
        }
        Owner::BlockBitmap(group) => plain(format!("bitmap of blocks of group {group}"), None),
        Owner::InodeBitmap(group) => plain(format!("bitmap of inodes of group {group}"), None),
        Owner::Journal => plain("journal".to_owned(), None),
        Owner::Directory(id) => plain(format!("directory, inode {id}"), Some(id)),
        Owner::Map(id) => plain(format!("map of the blocks of inode {id}"), Some(id)),
        Owner::Attributes(id) => plain(format!("extended attributes of inode {id}"), Some(id)),
        Owner::Contents(id) => plain(format!("contents of inode {id}"), Some(id)),
        Owner::Slack(id) => plain(format!("after the end of the file of inode {id}"), Some(id)),
        Owner::Reserved if at < 1024 => plain("boot sectors".to_owned(), None),
        Owner::Beyond => plain("after the last block".to_owned(), None),
        _ => plain("free space".to_owned(), None),
    }
}

/// Explains a byte of a group's inode table.
fn inode(ext: &Ext<'_>, group: u64, at: u64, end: u64) -> Meaning {
    let geometry = &ext.geometry;
    let table = ext
        .group(group)
        .map_or(0, |found: groups::Group| found.inode_table);
    let within = at.saturating_sub(table.saturating_mul(geometry.block));
    let index = within / geometry.inode;
    let number = group
        .saturating_mul(geometry.inodes_per_group)
        .saturating_add(index)
        .saturating_add(1);
    let start = at.saturating_sub(within % geometry.inode);
    let within = at.saturating_sub(start);
    // usize to u64: lossless on every target Rust has.
    let fields_end = size_of::<Inode>() as u64;
    let (name, weight, field_end) = match within < fields_end.min(geometry.inode) {
        true => {
            let (found, field_end) = field(&INODE, fields_end.min(geometry.inode), within);
            (found.name, found.weight, field_end)
        }
        false => (ATTRIBUTES, Weight::Covered, geometry.inode),
    };
    let is_used = ext.inode(number).is_ok_and(|inode| inode.is_used());
    Meaning {
        structure: match is_used {
            true => format!("inode {number}"),
            false => format!("inode {number}, which is not in use"),
        },
        field: Some(name),
        end: start.saturating_add(field_end).min(end),
        weight: if is_used { weight } else { Weight::Own },
        file: is_used.then_some(number),
    }
}
