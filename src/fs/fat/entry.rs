//! Directory entries: the attributes of a file, and its names.

use std::array::from_fn;

use time::OffsetDateTime;
use zerocopy::little_endian::{U16, U32};
use zerocopy::transmute;

use super::alias::Alias;
use super::ondisk::{DirEntry, LongDirEntry, attr};
use crate::fs::number::split32;

/// Bytes of a directory entry.
pub(super) const SLOT: u64 = size_of::<DirEntry>() as u64;

/// The range of times that FAT can represent, in seconds since 1970: 1980-01-01 00:00:00 to
/// 2107-12-31 23:59:58 UTC (Microsoft FAT specification, "Date and Time Formats").
const TIMES: (i64, i64) = (315_532_800, 4_354_819_198);

/// A directory entry of either kind: [`DirEntry`] or [`LongDirEntry`].
pub(super) type Slot = [u8; 32];

/// The contents of an entry except its names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub directory: bool,
    /// The first cluster; 0 for an empty file, and in `..` for the root directory.
    pub cluster: u32,
    /// Length of a file in bytes; 0 for a directory.
    pub size: u32,
    /// Seconds since 1970.
    pub time: i64,
}

impl Entry {
    /// Returns the entries for a file or directory: those of its long name, if it needs one,
    /// followed by the short entry.
    pub fn slots(&self, name: &[u16], alias: &Alias) -> Vec<Slot> {
        let mut slots = Vec::new();
        if alias.long {
            let sum = checksum(&alias.name);
            // At most 20 pieces: names were checked to have at most 255 units.
            let pieces = (1..)
                .zip(name.chunks(LongDirEntry::UNITS))
                .collect::<Vec<(u8, _)>>();
            for (number, piece) in pieces.iter().rev() {
                let last = if slots.is_empty() {
                    LongDirEntry::LAST
                } else {
                    0
                };
                slots.push(transmute!(long(number | last, piece, sum)));
            }
        }
        slots.push(transmute!(self.short(&alias.name, alias.case)));
        slots
    }

    /// Returns only the short entry.
    pub fn short(&self, name: &[u8; 11], case: u8) -> DirEntry {
        let (date, time) = date_and_time(self.time);
        let (dir_fst_clus_lo, dir_fst_clus_hi) = split32(self.cluster);
        DirEntry {
            dir_name: *name,
            dir_attr: match self.directory {
                true => attr::DIRECTORY,
                false => attr::ARCHIVE,
            },
            dir_nt_res: case,
            dir_crt_time_tenth: 0,
            dir_crt_time: time,
            dir_crt_date: date,
            dir_lst_acc_date: date,
            dir_fst_clus_hi,
            dir_wrt_time: time,
            dir_wrt_date: date,
            dir_fst_clus_lo,
            dir_file_size: U32::new(self.size),
        }
    }
}

/// Encodes a piece of a long name. A piece that is too short is terminated with 0 and padded with
/// 0xffff.
fn long(number: u8, piece: &[u16], sum: u8) -> LongDirEntry {
    let mut units = piece.iter().copied().chain([0]);
    let mut next = |_| U16::new(units.next().unwrap_or(0xffff));
    LongDirEntry {
        ldir_ord: number,
        ldir_name1: from_fn(&mut next),
        ldir_attr: attr::LONG_NAME,
        ldir_type: 0,
        ldir_chksum: sum,
        ldir_name2: from_fn(&mut next),
        ldir_fst_clus_lo: U16::ZERO,
        ldir_name3: from_fn(&mut next),
    }
}

fn checksum(name: &[u8; 11]) -> u8 {
    name.iter()
        .fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// Returns the nearest date and time that FAT can represent.
fn date_and_time(seconds: i64) -> (U16, U16) {
    let at = OffsetDateTime::from_unix_timestamp(seconds.clamp(TIMES.0, TIMES.1))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let year = u16::try_from(year.saturating_sub(1980)).unwrap_or(0);
    let date = year << 9 | u16::from(u8::from(month)) << 5 | u16::from(day);
    let time = u16::from(hour) << 11 | u16::from(minute) << 5 | u16::from(second / 2);
    (U16::new(date), U16::new(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_the_calendar() {
        for (seconds, (year, month, day), (hour, minute, second)) in [
            (i64::MIN, (1980, 1, 1), (0, 0, 0)),
            (951_782_399, (2000, 2, 28), (23, 59, 58)),
            (951_868_799, (2000, 2, 29), (23, 59, 58)),
            (951_868_800, (2000, 3, 1), (0, 0, 0)),
            (4_107_542_399, (2100, 2, 28), (23, 59, 58)),
            (4_107_542_400, (2100, 3, 1), (0, 0, 0)),
            (4_133_980_799, (2100, 12, 31), (23, 59, 58)),
            (1_000_000_001, (2001, 9, 9), (1, 46, 40)),
            (i64::MAX, (2107, 12, 31), (23, 59, 58)),
        ] {
            let date = (year - 1980) << 9 | month << 5 | day;
            let time = hour << 11 | minute << 5 | (second / 2);
            let (found_date, found_time) = date_and_time(seconds);
            assert_eq!(
                (found_date, found_time),
                (date.into(), time.into()),
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_name_of_13_units_fills_its_entry() {
        let name: Vec<u16> = "exactly13char".encode_utf16().collect();
        let name3 = |piece| long(0x41, piece, 7).ldir_name3.map(U16::get);
        assert_eq!(name3(&name), [0x61, 0x72]);
        assert_eq!(name3(&name[..12]), [0x61, 0]);
        assert_eq!(name3(&name[..11]), [0, 0xffff]);
    }
}
