//! Directory entries as they are on the disk (Microsoft FAT specification, "FAT Directory
//! Structure" and "FAT Long Directory Entries").

use time::OffsetDateTime;

use super::alias::Alias;

/// Bytes of a directory entry.
pub(super) const SLOT: u64 = 32;

/// UTF-16 units of a long name in one entry.
const UNITS: usize = 13;

/// The times FAT can say, in seconds since 1970: 1980-01-01 00:00:00 to 2107-12-31 23:59:58 UTC
/// (Microsoft FAT specification, "Date and Time Formats").
const TIMES: (i64, i64) = (315_532_800, 4_354_819_198);

const DIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const LONG_NAME: u8 = 0x0f;

/// A directory entry.
pub(super) type Slot = [u8; 32];

/// What an entry says besides names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub directory: bool,
    /// The first cluster; 0 of an empty file, and for the root directory in `..`.
    pub cluster: u32,
    /// Bytes of a file; 0 of a directory.
    pub size: u32,
    /// Seconds since 1970.
    pub time: i64,
}

impl Entry {
    /// The entries for a file or directory: those of its long name, if it has to have one, and its
    /// own.
    pub fn slots(&self, name: &[u16], alias: &Alias) -> Vec<Slot> {
        let mut slots = Vec::new();
        if alias.long {
            let sum = checksum(&alias.name);
            // At most 20 pieces: names are checked to have 255 units.
            let pieces = (1..).zip(name.chunks(UNITS)).collect::<Vec<(u8, _)>>();
            for (number, piece) in pieces.iter().rev() {
                let last = slots.is_empty();
                slots.push(long(number | if last { 0x40 } else { 0 }, piece, sum));
            }
        }
        slots.push(self.short(&alias.name, alias.case));
        slots
    }

    /// The entry alone, by its short name.
    pub fn short(&self, name: &[u8; 11], case: u8) -> Slot {
        let mut slot = [0; 32];
        let (date, time) = date_and_time(self.time);
        slot[..11].copy_from_slice(name);
        slot[11] = if self.directory { DIRECTORY } else { ARCHIVE };
        slot[12] = case;
        // Made, read and changed.
        for (at, value) in [(14, time), (16, date), (18, date), (22, time), (24, date)] {
            slot[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        let [a, b, c, d] = self.cluster.to_le_bytes();
        slot[20..22].copy_from_slice(&[c, d]);
        slot[26..28].copy_from_slice(&[a, b]);
        slot[28..].copy_from_slice(&self.size.to_le_bytes());
        slot
    }
}

/// A piece of a long name. What is too short ends with 0 and is filled up with ones.
fn long(number: u8, piece: &[u16], sum: u8) -> Slot {
    const PLACES: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
    let mut slot = [0; 32];
    slot[0] = number;
    slot[11] = LONG_NAME;
    slot[13] = sum;
    let units = piece.iter().copied().chain([0]);
    let units = units.chain(std::iter::repeat(0xffff));
    for (at, unit) in PLACES.into_iter().zip(units) {
        slot[at..at + 2].copy_from_slice(&unit.to_le_bytes());
    }
    slot
}

fn checksum(name: &[u8; 11]) -> u8 {
    name.iter()
        .fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The nearest date and time that FAT can say.
fn date_and_time(seconds: i64) -> (u16, u16) {
    let at = OffsetDateTime::from_unix_timestamp(seconds.clamp(TIMES.0, TIMES.1))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let year = u16::try_from(year.saturating_sub(1980)).unwrap_or(0);
    let date = year << 9 | u16::from(u8::from(month)) << 5 | u16::from(day);
    let time = u16::from(hour) << 11 | u16::from(minute) << 5 | u16::from(second / 2);
    (date, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
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
            assert_eq!(date_and_time(seconds), (date, time), "{seconds}");
        }
    }

    #[test]
    fn a_name_of_thirteen_units_fills_its_entry() {
        let name: Vec<u16> = "exactly13char".encode_utf16().collect();
        let slot = long(0x41, &name, 7);
        assert_eq!(slot[28..], *b"a\0r\0");
        let slot = long(0x41, &name[..12], 7);
        assert_eq!(slot[28..], *b"a\0\0\0");
        let slot = long(0x41, &name[..11], 7);
        assert_eq!(slot[28..], [0, 0, 0xff, 0xff]);
    }
}
