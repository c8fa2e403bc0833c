//! Which field of a structure a byte belongs to.

use super::Fat;
use super::geometry::ENTRY;
use crate::fs::fat::ondisk::{BootSector, DirEntry, FsInfo, attr};
use crate::volume::explain::{Field, Meaning, Weight, field, fields};
use crate::volume::runs::{Owner, Owners};

/// Fields of the boot sector. What `inspect` shows is covered.
const BOOT: [Field; 14] = fields!(BootSector:
    bs_jmp_boot Own, bs_oem_name Covered, bpb_byts_per_sec Covered, bpb_sec_per_clus Covered,
    bpb_rsvd_sec_cnt Covered, bpb_num_fats Covered, bpb_root_ent_cnt Covered, bpb_tot_sec16 Covered,
    bpb_media Covered, bpb_fatsz16 Covered, bpb_sec_per_trk Covered, bpb_num_heads Covered,
    bpb_hidd_sec Covered, bpb_tot_sec32 Covered,
);

/// Where the part of the boot sector begins that FAT32 has differently, and its fields ("Extended BPB
/// Structure").
const PART: usize = 36;
const PART_16: [Field; 7] = [
    named(PART, "bs_drv_num", Weight::Own),
    named(PART + 1, "bs_reserved1", Weight::Own),
    named(PART + 2, "bs_boot_sig", Weight::Own),
    named(PART + 3, "bs_vol_id", Weight::Covered),
    named(PART + 7, "bs_vol_lab", Weight::Covered),
    named(PART + 18, "bs_fil_sys_type", Weight::Own),
    named(PART + 26, "boot code", Weight::Own),
];
const PART_32: [Field; 14] = [
    named(PART, "bpb_fatsz32", Weight::Covered),
    named(PART + 4, "bpb_ext_flags", Weight::Own),
    named(PART + 6, "bpb_fs_ver", Weight::Own),
    named(PART + 8, "bpb_root_clus", Weight::Covered),
    named(PART + 12, "bpb_fs_info", Weight::Own),
    named(PART + 14, "bpb_bk_boot_sec", Weight::Own),
    named(PART + 16, "bpb_reserved", Weight::Own),
    named(PART + 28, "bs_drv_num", Weight::Own),
    named(PART + 29, "bs_reserved1", Weight::Own),
    named(PART + 30, "bs_boot_sig", Weight::Own),
    named(PART + 31, "bs_vol_id", Weight::Covered),
    named(PART + 35, "bs_vol_lab", Weight::Covered),
    named(PART + 46, "bs_fil_sys_type", Weight::Own),
    named(PART + 54, "boot code", Weight::Own),
];

const fn named(offset: usize, name: &'static str, weight: Weight) -> Field {
    Field {
        offset,
        name,
        weight,
    }
}

/// Fields of the sector of free counts.
const INFO: [Field; 7] = fields!(FsInfo:
    fsi_lead_sig Own, fsi_reserved1 Own, fsi_struc_sig Own, fsi_free_count Covered, fsi_nxt_free Own,
    fsi_reserved2 Own, fsi_trail_sig Own,
);

/// Fields of a directory entry. What a listing shows is covered.
const NAME: [Field; 12] = fields!(DirEntry:
    dir_name Covered, dir_attr Covered, dir_nt_res Covered, dir_crt_time_tenth Covered,
    dir_crt_time Covered, dir_crt_date Covered, dir_lst_acc_date Covered, dir_fst_clus_hi Own,
    dir_wrt_time Covered, dir_wrt_date Covered, dir_fst_clus_lo Own, dir_file_size Covered,
);

/// Explains the byte `at`.
pub fn explain(fat: &Fat<'_>, owners: &Owners, at: u64) -> Meaning {
    let (owner, end) = owners.at(at);
    let geometry = &fat.geometry;
    let sector_end = (at / geometry.sector)
        .saturating_add(1)
        .saturating_mul(geometry.sector);
    let plain = |structure: String, file: Option<u64>| Meaning {
        structure,
        field: None,
        end: end.min(sector_end),
        weight: Weight::Own,
        file,
    };
    let in_sector = |structure: &str, fields: &[Field], covers: bool| {
        let start = sector_end.saturating_sub(geometry.sector);
        let (found, field_end) = field(fields, geometry.sector, at.saturating_sub(start));
        Meaning {
            structure: structure.to_owned(),
            field: Some(found.name),
            end: start.saturating_add(field_end).min(end),
            weight: if covers { found.weight } else { Weight::Own },
            file: None,
        }
    };
    let is_32 = geometry.root_cluster.is_some();
    let part = if is_32 { &PART_32[..] } else { &PART_16 };
    match owner {
        Owner::BootSector => in_sector("boot sector", &[&BOOT, part].concat(), true),
        Owner::BootSectorCopy => {
            in_sector("copy of the boot sector", &[&BOOT, part].concat(), false)
        }
        Owner::FsInfo => in_sector(
            "sector of free counts",
            &INFO,
            at < geometry.sector.saturating_mul(2),
        ),
        Owner::Reserved => plain("reserved sectors".to_owned(), None),
        Owner::Table(number) => {
            let within = at.saturating_sub(owners.start(at));
            let cluster = within.saturating_mul(8) / geometry.width.bits();
            let sector = plain(String::new(), None);
            Meaning {
                structure: format!(
                    "allocation table {}, entries from that of cluster {cluster} on",
                    number.saturating_add(1)
                ),
                ..sector
            }
        }
        Owner::Directory(id) => entry(fat, id, at, end),
        Owner::Contents(id) => plain(format!("contents of the file at cluster {id}"), Some(id)),
        Owner::Slack(id) => plain(
            format!("after the end of the file at cluster {id}"),
            Some(id),
        ),
        Owner::Lost => plain("clusters that no file has".to_owned(), None),
        Owner::Beyond => plain("after the last cluster".to_owned(), None),
        _ => plain("free space".to_owned(), None),
    }
}

/// Explains a byte of a directory.
fn entry(fat: &Fat<'_>, directory: u64, at: u64, end: u64) -> Meaning {
    let start = at / ENTRY * ENTRY;
    let entry = fat.entry(start).ok();
    let kind = entry.as_ref().map_or(0, |entry| entry.attributes());
    let first = entry.as_ref().map_or(0, |entry| entry.first_byte());
    let of = match directory {
        0 => "the top directory".to_owned(),
        cluster => format!("the directory at cluster {cluster}"),
    };
    let is_name = kind & 0x3f != attr::LONG_NAME && kind & attr::VOLUME_ID == 0;
    let (what, field, field_end, weight) = match first {
        0 | 0xe5 => ("unused entry", None, ENTRY, Weight::Own),
        // `.` and `..` are not listed.
        b'.' => {
            let (found, field_end) = field(&NAME, ENTRY, at.saturating_sub(start));
            (
                "entry of itself or its parent",
                Some(found.name),
                field_end,
                Weight::Own,
            )
        }
        _ if is_name => {
            let (found, field_end) = field(&NAME, ENTRY, at.saturating_sub(start));
            ("entry", Some(found.name), field_end, found.weight)
        }
        _ if kind & 0x3f == attr::LONG_NAME => ("long name", None, ENTRY, Weight::Covered),
        _ => ("label", None, ENTRY, Weight::Own),
    };
    Meaning {
        structure: format!("{what} at byte {start} in {of}"),
        field,
        end: start.saturating_add(field_end).min(end),
        weight,
        file: (directory > 0).then_some(directory),
    }
}
