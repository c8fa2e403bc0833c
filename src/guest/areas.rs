//! Where boot code is that no file system holds.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::job::Area;
use crate::layout::{Layout, Role, SECTOR};

/// Boot code of a master boot record; the disk signature comes after it (UEFI Specification 2.10,
/// section 5.2.1).
const MBR: &str = "mbr";
const MBR_CODE: u64 = 440;

/// What is between the table and the first partition: GRUB's core image on a disk with an MBR.
const GAP: &str = "gap";

/// The BIOS boot partition: GRUB's core image on a disk with a GPT.
const BIOS: &str = "bios";

/// What ext4 leaves to boot code at its start (Documentation/filesystems/ext4/super.rst), where
/// there is no table.
const UNPARTITIONED: &str = "unpartitioned";
const UNPARTITIONED_CODE: u64 = 1024;

/// The parts of a disk that may hold boot code.
pub fn of(layout: &Layout) -> Vec<Area> {
    let area = |name: &str, start, end: u64| Area {
        name: name.to_owned(),
        start,
        length: end.saturating_sub(start),
    };
    // The table at the disk's end is not in front of anything.
    let Some((0, table)) = layout.table.first() else {
        return vec![area(UNPARTITIONED, 0, UNPARTITIONED_CODE)];
    };
    // usize to u64: lossless on every target Rust has.
    let table_end = table.len() as u64;
    let first = layout.partitions.iter().map(|p| p.start()).min();
    let mut areas = vec![area(MBR, 0, MBR_CODE)];
    areas.push(area(GAP, table_end, first.unwrap_or(table_end)));
    for partition in &layout.partitions {
        if partition.role == Role::BiosBoot {
            let start = partition.first_sector * SECTOR;
            areas.push(area(BIOS, start, start + partition.length()));
        }
    }
    areas.retain(|area| area.length > 0);
    areas
}

/// Checks that boot code is only where it works on another disk than the guest's. That it is no
/// longer than its place was checked when it was read.
///
/// # Errors
/// If a disk without a table has any: there is room for no more than a list of blocks of the file
/// system that the rest is in, and the image's file system is laid out anew.
pub fn check(areas: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    let code = areas.get(UNPARTITIONED);
    ensure!(
        code.is_none_or(|code| code.iter().all(|&byte| byte == 0)),
        "the boot loader's installer wrote boot code to the first {UNPARTITIONED_CODE} bytes of a \
         disk without a partition table: it goes on in blocks of the root file system, and those \
         move: set partitionTableType to \"legacy\", which has room for boot code, or \
         installBootLoader = false"
    );
    Ok(())
}

/// The bytes of the table, with the MBR's boot code in it, and of the other areas: (first byte on
/// disk, bytes), without those that are all zeros. `areas` has their contents by name.
pub fn overlay(areas: &BTreeMap<String, Vec<u8>>, layout: &Layout) -> Vec<(u64, Vec<u8>)> {
    let mut parts = layout.table.clone();
    for area in of(layout) {
        let Some(bytes) = areas.get(&area.name) else {
            continue;
        };
        let used = bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |i| i + 1);
        let bytes = &bytes[..used];
        if area.name != MBR {
            if used > 0 {
                parts.push((area.start, bytes.to_vec()));
            }
        } else if let Some((_, table)) = parts.first_mut()
            && let Some(code) = table.get_mut(..used)
        {
            code.copy_from_slice(bytes);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{MEBIBYTE, plan};
    use crate::scheme::PartitionTable;

    fn layout(table: PartitionTable) -> Layout {
        let identity = crate::guest::tests::identity();
        plan(table, 257 * MEBIBYTE, 1024 * MEBIBYTE, &identity).unwrap()
    }

    #[test]
    fn boot_code_is_where_no_table_and_no_file_system_is() {
        for (table, expected) in [
            (PartitionTable::None, "unpartitioned 0 1024"),
            (PartitionTable::Legacy, "mbr 0 440, gap 512 1048064"),
            (PartitionTable::LegacyBoot, "mbr 0 440, gap 512 1048064"),
            (
                PartitionTable::LegacyGpt,
                "mbr 0 440, gap 17408 1031168, bios 1048576 1048576",
            ),
            (PartitionTable::Efi, "mbr 0 440, gap 17408 8371200"),
            (PartitionTable::EfiXbootldr, "mbr 0 440, gap 17408 8371200"),
            (PartitionTable::Hybrid, "mbr 0 440, bios 17408 1031680"),
        ] {
            let areas = of(&layout(table));
            let text: Vec<_> = areas
                .iter()
                .map(|a| format!("{} {} {}", a.name, a.start, a.length))
                .collect();
            assert_eq!(text.join(", "), expected, "{table:?}");
        }
    }

    #[test]
    fn boot_code_leaves_the_table_alone() {
        let layout = layout(PartitionTable::Legacy);
        let mut areas = BTreeMap::new();
        areas.insert("mbr".to_owned(), vec![0xeb; 440]);
        areas.insert("gap".to_owned(), [&[1, 2, 3][..], &[0; 600]].concat());
        let parts = overlay(&areas, &layout);
        assert_eq!(parts[0].1[..440], [0xeb; 440]);
        assert_eq!(parts[0].1[440..], layout.table[0].1[440..]);
        assert_eq!(parts[1], (512, vec![1, 2, 3]));
        areas.insert("gap".to_owned(), vec![0; 600]);
        assert_eq!(overlay(&areas, &layout).len(), 1);
    }
}
