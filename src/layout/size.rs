//! The size of a disk.

use super::divide::{boot_end_sector, divide, first_sector};
use super::{BLOCK, Error, MEBIBYTE, SECTOR, gpt};
use crate::scheme::{PartitionTable, Role, TableKind};

/// Returns the length in bytes of the shortest disk whose root partition has room for a file system
/// of `root_length` bytes.
///
/// # Errors
/// Same as [`place`](fn@super::place) for that disk.
pub fn shortest_disk_length(
    table: PartitionTable,
    boot_end: u64,
    root_length: u64,
) -> Result<u64, Error> {
    let too_large = || Error::TooLarge(root_length);
    let boot_end = boot_end_sector(table, boot_end)?;
    let end = root_begin(table, boot_end).checked_add(root_length);
    let mut length = end
        .and_then(|end| end.checked_next_multiple_of(MEBIBYTE))
        .ok_or_else(too_large)?;
    // A GPT root partition ends before the disk, so some more MiB may be necessary.
    loop {
        if i64::try_from(length).is_err() {
            return Err(too_large());
        }
        let layout = divide(table, boot_end, length)?;
        if layout.is_some_and(|layout| layout.root_length() >= root_length) {
            return Ok(length);
        }
        length = length.checked_add(MEBIBYTE).ok_or_else(too_large)?;
    }
}

/// Returns the length in bytes of the disk with `diskSize = "auto"` for a root file system of at
/// least `root_length` bytes, including `additionalSpace`.
///
/// This is the formula of nixpkgs, where `up(x, n) = (x / n + 1) * n`, which is always more than
/// `x`:
///
/// ```text
/// up(up(root_length, 4096) + reserved, 1 MiB)
/// ```
///
/// `reserved` is the space before the root partition, plus 34 sectors for a GPT. nixpkgs ignores
/// that a GPT root partition ends at a whole MiB, so that up to 1 MiB may be missing. In this case,
/// the disk is 1 MiB longer here.
///
/// # Errors
/// Same as [`place`](fn@super::place) for that disk.
pub fn automatic_disk_length(
    table: PartitionTable,
    boot_end: u64,
    root_length: u64,
) -> Result<u64, Error> {
    let shortest = shortest_disk_length(table, boot_end, root_length)?;
    let begin = root_begin(table, boot_end_sector(table, boot_end)?);
    let reserved = match table.scheme().kind {
        TableKind::None | TableKind::Mbr => Some(begin),
        TableKind::Gpt => begin.checked_add(gpt::FIRST_USABLE * SECTOR),
    };
    let length = up(root_length, BLOCK)
        .zip(reserved)
        .and_then(|(root, reserved)| root.checked_add(reserved))
        .and_then(|sum| up(sum, MEBIBYTE))
        .ok_or(Error::TooLarge(root_length))?;
    Ok(length.max(shortest))
}

/// Returns the offset of the root partition in bytes.
fn root_begin(table: PartitionTable, boot_end: u64) -> u64 {
    let mut partitions = table.scheme().partitions.iter();
    let root = partitions.find(|partition| partition.role == Role::Root);
    root.map_or(0, |root| first_sector(root.first, boot_end) * SECTOR)
}

/// Returns `(x / n + 1) * n`: the next multiple of `n`, never `x` itself.
fn up(x: u64, n: u64) -> Option<u64> {
    (x / n).checked_add(1)?.checked_mul(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::place;

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
            // In this case, the root partition of nixpkgs' disk has only 299 MiB.
            (T::LegacyGpt, 0, 300 * m - 24576, 303 * m),
            (T::Efi, 257 * m, 300 * m, 558 * m),
            (T::Hybrid, 9 * m, 300 * m, 310 * m),
            (T::EfiXbootldr, 257 * m, 1, 258 * m),
        ] {
            let length = automatic_disk_length(table, boot_end, root).unwrap();
            assert_eq!(length / m, disk / m, "{table:?} {boot_end} {root}");
            assert_eq!(length % m, 0);
            let layout = place(table, boot_end, length).unwrap();
            assert!(layout.root_length() >= root, "{table:?} {boot_end} {root}");
        }
    }

    #[test]
    fn automatic_sizes_hold_every_root_length() {
        for table in [T::None, T::Legacy, T::LegacyBoot, T::LegacyGpt, T::Efi] {
            let around = |m: u64| (0..512).map(move |n| m * MEBIBYTE + n * 4096 - 3);
            for root in around(2).chain(around(50)).chain(around(199)) {
                let length = automatic_disk_length(table, 9 * MEBIBYTE, root).unwrap();
                let layout = place(table, 9 * MEBIBYTE, length).unwrap();
                assert!(layout.root_length() >= root);
            }
        }
    }

    #[test]
    fn rejects_sizes_out_of_range() {
        for root in [u64::MAX, u64::MAX / 2, u64::MAX - 4096] {
            let error = automatic_disk_length(T::Efi, 257 * MEBIBYTE, root).unwrap_err();
            assert!(matches!(error, Error::TooLarge(_)), "{error}");
        }
        let error = automatic_disk_length(T::Legacy, 0, 3 << 40).unwrap_err();
        assert!(error.to_string().contains("2 TiB"), "{error}");
    }

    #[test]
    fn the_shortest_disk_just_holds_its_root() {
        let needed = 3_328_599_654;
        let smallest = shortest_disk_length(T::Efi, 257 * MEBIBYTE, needed).unwrap();
        assert_eq!(smallest, 3433 * MEBIBYTE);
        let root_of = |disk| {
            let layout = place(T::Efi, 257 * MEBIBYTE, disk).unwrap();
            layout.root_length()
        };
        assert!(root_of(smallest) >= needed);
        assert!(root_of(smallest - MEBIBYTE) < needed);
    }
}
