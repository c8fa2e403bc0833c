//! The areas of a disk that hold boot code outside file systems.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, Layout, SECTOR, gpt};
use crate::scheme::{Contents, TableKind};

/// The length of the boot code in a master boot record, in bytes. The disk signature follows it (UEFI
/// Specification 2.10, section 5.2.1).
const MBR_CODE: u64 = 440;

/// A part of the disk that may hold boot code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// The kind of area.
    pub(crate) kind: AreaKind,
    /// The offset on the disk in bytes.
    pub(crate) start: u64,
    /// The size in bytes.
    pub(crate) length: u64,
}

/// The kinds of areas that may hold boot code, in their order on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AreaKind {
    /// The boot code of a master boot record.
    Mbr,
    /// The gap between the table and the first partition: GRUB's core image on a disk with an MBR.
    Gap,
    /// The BIOS boot partition: GRUB's core image on a disk with a GPT.
    BiosBoot,
    /// The start of the root file system on a disk without a table.
    Unpartitioned,
}

/// The boot code of each area.
pub type BootCode = BTreeMap<AreaKind, Vec<u8>>;

impl AreaKind {
    /// Returns its name in a guest's report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            AreaKind::Mbr => "mbr",
            AreaKind::Gap => "gap",
            AreaKind::BiosBoot => "bios-boot",
            AreaKind::Unpartitioned => "unpartitioned",
        }
    }
}

impl fmt::Display for AreaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns the areas of a disk that may hold boot code. On a disk without a table, that is the start of
/// the root file system, which leaves `unpartitioned` bytes to it.
pub fn areas(layout: &Layout, unpartitioned: u64) -> Vec<Area> {
    let area = |kind, start, end: u64| Area {
        kind,
        start,
        length: end.saturating_sub(start),
    };
    let table_end = match layout.table.scheme().kind {
        TableKind::None if unpartitioned == 0 => return Vec::new(),
        TableKind::None => return vec![area(AreaKind::Unpartitioned, 0, unpartitioned)],
        TableKind::Mbr => SECTOR,
        TableKind::Gpt => gpt::FIRST_USABLE * SECTOR,
    };
    let first = layout.partitions.iter().map(|p| p.start()).min();
    let mut areas = vec![area(AreaKind::Mbr, 0, MBR_CODE)];
    areas.push(area(AreaKind::Gap, table_end, first.unwrap_or(table_end)));
    for partition in &layout.partitions {
        if partition.scheme.contents == Contents::BootCode {
            let start = partition.start();
            areas.push(area(AreaKind::BiosBoot, start, start + partition.length()));
        }
    }
    areas.retain(|area| area.length > 0);
    areas
}

/// Checks that the boot code works on another disk than the guest's. Its length was checked when it
/// was read. `unpartitioned` is as in [`areas`].
///
/// # Errors
/// If a disk without a table has boot code. The area has room only for a loader that reads a list of
/// file system blocks, but the blocks have other positions in the image's file system.
pub fn check_boot_code(code: &BootCode, unpartitioned: u64) -> Result<(), Error> {
    let code = code.get(&AreaKind::Unpartitioned);
    match code.is_none_or(|code| code.iter().all(|&byte| byte == 0)) {
        true => Ok(()),
        false => Err(Error::UnpartitionedBootCode {
            length: unpartitioned,
        }),
    }
}

/// Returns the bytes of `table`, from [`table_bytes`](super::table_bytes), with the MBR's boot
/// code, and the bytes of the other areas, without trailing zeros. Each element is (offset on disk,
/// bytes). Areas of zeros are left out. `unpartitioned` is as in [`areas`].
pub fn with_boot_code(
    table: Vec<(u64, Vec<u8>)>,
    layout: &Layout,
    code: &BootCode,
    unpartitioned: u64,
) -> Vec<(u64, Vec<u8>)> {
    let mut parts = table;
    for area in areas(layout, unpartitioned) {
        let Some(bytes) = code.get(&area.kind) else {
            continue;
        };
        let used = bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |i| i + 1);
        let bytes = &bytes[..used];
        match area.kind {
            AreaKind::Mbr => {
                if let Some((_, table)) = parts.first_mut()
                    && let Some(code) = table.get_mut(..used)
                {
                    code.copy_from_slice(bytes);
                }
            }
            AreaKind::Gap | AreaKind::BiosBoot | AreaKind::Unpartitioned => {
                if used > 0 {
                    parts.push((area.start, bytes.to_vec()));
                }
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{MEBIBYTE, place};
    use crate::scheme::PartitionTable;

    fn layout(table: PartitionTable) -> Layout {
        place(table, 257 * MEBIBYTE, 1024 * MEBIBYTE).unwrap()
    }

    #[test]
    fn areas_exclude_tables_and_file_systems() {
        for (table, expected) in [
            (PartitionTable::None, "unpartitioned 0 1024"),
            (PartitionTable::Legacy, "mbr 0 440, gap 512 1048064"),
            (PartitionTable::LegacyBoot, "mbr 0 440, gap 512 1048064"),
            (
                PartitionTable::LegacyGpt,
                "mbr 0 440, gap 17408 1031168, bios-boot 1048576 1048576",
            ),
            (PartitionTable::Efi, "mbr 0 440, gap 17408 8371200"),
            (PartitionTable::EfiXbootldr, "mbr 0 440, gap 17408 8371200"),
            (PartitionTable::Hybrid, "mbr 0 440, bios-boot 17408 1031680"),
        ] {
            let areas = areas(&layout(table), 1024);
            let text: Vec<_> = areas
                .iter()
                .map(|a| format!("{} {} {}", a.kind, a.start, a.length))
                .collect();
            assert_eq!(text.join(", "), expected, "{table:?}");
        }
    }

    #[test]
    fn boot_code_without_a_table_depends_on_the_file_system() {
        let layout = layout(PartitionTable::None);
        assert_eq!(areas(&layout, 0), []);
        let code = BootCode::from([(AreaKind::Unpartitioned, vec![0xeb, 0])]);
        let error = check_boot_code(&code, 1024).unwrap_err().to_string();
        assert!(error.contains("1024 bytes"), "{error}");
    }

    #[test]
    fn areas_have_the_same_name_in_job_and_report() {
        use AreaKind::{BiosBoot, Gap, Mbr, Unpartitioned};
        for kind in [Mbr, Gap, BiosBoot, Unpartitioned] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn boot_code_does_not_change_the_table() {
        let layout = layout(PartitionTable::Legacy);
        let mut code = BootCode::new();
        code.insert(AreaKind::Mbr, vec![0xeb; 440]);
        code.insert(AreaKind::Gap, [&[1, 2, 3][..], &[0; 600]].concat());
        let table = vec![(0, vec![7; 512])];
        let parts = with_boot_code(table.clone(), &layout, &code, 0);
        assert_eq!(parts[0].1[..440], [0xeb; 440]);
        assert_eq!(parts[0].1[440..], table[0].1[440..]);
        assert_eq!(parts[1], (512, vec![1, 2, 3]));
        code.insert(AreaKind::Gap, vec![0; 600]);
        assert_eq!(with_boot_code(table, &layout, &code, 0).len(), 1);
    }
}
