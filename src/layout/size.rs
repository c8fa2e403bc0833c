//! How large a disk must be.

use uuid::Uuid;

use super::{BLOCK, Error, MEBIBYTE, SECTOR, plan};
use crate::scheme::PartitionTable;
use crate::spec::Identity;

/// What nixpkgs reserves for a GPT.
const GPT: u64 = 34 * SECTOR;

/// The length in bytes of the disk that `diskSize = "auto"` gives for a root file system of at least
/// `root_length` bytes, `additionalSpace` included.
///
/// As in nixpkgs, with `up(x, n) = (x / n + 1) * n`, which always adds something:
///
/// ```text
/// up(up(root_length, 4096) + reserved, 1 MiB)
///
/// reserved   efi, efixbootldr, hybrid  34 * 512 + boot_end
///            legacy+gpt                34 * 512 + 2 MiB
///            legacy+boot               boot_end
///            legacy                    1 MiB
///            none                      0
/// ```
///
/// nixpkgs forgets that a GPT root partition ends at a whole MiB, so that it may lack up to 1 MiB:
/// there, the disk is 1 MiB longer.
///
/// # Errors
/// As [`plan`] of that disk.
pub fn minimal_disk_length(
    table: PartitionTable,
    boot_end: u64,
    root_length: u64,
) -> Result<u64, Error> {
    let reserved = match table {
        PartitionTable::None => Some(0),
        PartitionTable::Legacy => Some(MEBIBYTE),
        PartitionTable::LegacyBoot => Some(boot_end),
        PartitionTable::LegacyGpt => Some(GPT + 2 * MEBIBYTE),
        PartitionTable::Efi | PartitionTable::EfiXbootldr | PartitionTable::Hybrid => {
            GPT.checked_add(boot_end)
        }
    };
    let too_large = Error::TooLarge(root_length);
    let Some(mut length) = up(root_length, BLOCK)
        .zip(reserved)
        .and_then(|(root, reserved)| root.checked_add(reserved))
        .and_then(|sum| up(sum, MEBIBYTE))
    else {
        return Err(too_large);
    };
    loop {
        match plan(table, boot_end, length, &NAMELESS) {
            Ok(layout) if layout.root_length() >= root_length => return Ok(length),
            Ok(_) | Err(Error::NoRoom { .. }) => {}
            Err(error) => return Err(error),
        }
        let Some(longer) = length.checked_add(MEBIBYTE) else {
            return Err(too_large);
        };
        length = longer;
    }
}

/// The length in bytes of the smallest disk whose root partition has room for a file system of
/// `needed` bytes. [`minimal_disk_length`], which rounds as nixpkgs does, may give more.
///
/// # Errors
/// As [`plan`] of that disk.
pub fn smallest_disk_length(
    table: PartitionTable,
    boot_end: u64,
    needed: u64,
) -> Result<u64, Error> {
    let mut length = minimal_disk_length(table, boot_end, needed)?;
    while let Some(shorter) = length.checked_sub(MEBIBYTE) {
        match plan(table, boot_end, shorter, &NAMELESS) {
            Ok(layout) if layout.root_length() >= needed => length = shorter,
            _ => break,
        }
    }
    Ok(length)
}

/// `(x / n + 1) * n`: the next multiple, never `x` itself.
fn up(x: u64, n: u64) -> Option<u64> {
    (x / n).checked_add(1)?.checked_mul(n)
}

/// Sizes do not depend on names.
pub(super) const NAMELESS: Identity = Identity {
    deterministic: true,
    disk: Uuid::nil(),
    root_partition: Uuid::nil(),
    other_partitions: [Uuid::nil(); 2],
    root_file_system: Uuid::nil(),
    fat_volumes: [0; 2],
    time: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    use PartitionTable as T;

    #[test]
    fn automatic_sizes_follow_the_formula_and_are_never_too_small() {
        let m = MEBIBYTE;
        for (table, boot_end, root, disk) in [
            (T::None, 0, 0, m),
            (T::None, 0, m, 2 * m),
            (T::None, 0, m - 4096, 2 * m),
            (T::None, 0, m - 4097, m),
            (T::Legacy, 0, 10 * m, 12 * m),
            (T::Legacy, 0, 10 * m - 8192, 11 * m),
            (T::LegacyBoot, 257 * m, 10 * m, 268 * m),
            (T::LegacyGpt, 0, 10 * m, 13 * m),
            (T::LegacyGpt, 0, 300 * m, 303 * m),
            // Here nixpkgs' disk has a root partition of 299 MiB.
            (T::LegacyGpt, 0, 300 * m - 24576, 303 * m),
            (T::Efi, 257 * m, 300 * m, 558 * m),
            (T::Hybrid, 9 * m, 300 * m, 310 * m),
            (T::EfiXbootldr, 257 * m, 1, 258 * m),
        ] {
            let length = minimal_disk_length(table, boot_end, root).unwrap();
            assert_eq!(length / m, disk / m, "{table:?} {boot_end} {root}");
            assert_eq!(length % m, 0);
            let layout = plan(table, boot_end, length, &NAMELESS).unwrap();
            assert!(layout.root_length() >= root, "{table:?} {boot_end} {root}");
        }
    }

    #[test]
    fn no_length_of_the_root_is_cut_short() {
        for table in [T::None, T::Legacy, T::LegacyBoot, T::LegacyGpt, T::Efi] {
            let around = |m: u64| (0..512).map(move |n| m * MEBIBYTE + n * 4096 - 3);
            for root in around(2).chain(around(50)).chain(around(199)) {
                let length = minimal_disk_length(table, 9 * MEBIBYTE, root).unwrap();
                let layout = plan(table, 9 * MEBIBYTE, length, &NAMELESS).unwrap();
                assert!(layout.root_length() >= root);
            }
        }
    }

    #[test]
    fn sizes_out_of_range_are_errors() {
        for root in [u64::MAX, u64::MAX / 2, u64::MAX - 4096] {
            let error = minimal_disk_length(T::Efi, 257 * MEBIBYTE, root).unwrap_err();
            assert!(matches!(error, Error::TooLarge(_)), "{error}");
        }
        let error = minimal_disk_length(T::Legacy, 0, 3 << 40).unwrap_err();
        assert!(
            error.to_string().contains("2 TiB"),
            "an MBR has an end: {error}"
        );
    }

    #[test]
    fn the_smallest_disk_just_holds_its_root() {
        let needed = 3_328_599_654;
        let smallest = smallest_disk_length(T::Efi, 257 * MEBIBYTE, needed).unwrap();
        assert_eq!(smallest, 3433 * MEBIBYTE);
        let root_of = |disk| {
            let layout = plan(T::Efi, 257 * MEBIBYTE, disk, &NAMELESS).unwrap();
            layout.root_length()
        };
        assert!(root_of(smallest) >= needed);
        assert!(root_of(smallest - MEBIBYTE) < needed);
    }
}
