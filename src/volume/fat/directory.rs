//! Directory entries.

use anyhow::{Context, Result, ensure};
use time::{Date, Month, PrimitiveDateTime, Time as Clock};
use zerocopy::FromBytes;

use super::geometry::{ENTRY, Geometry, Width};
use super::{Fat, ROOT};
use crate::fs::fat::ondisk::{DirEntry, LongDirEntry, attr};
use crate::volume::contents::Contents;
use crate::volume::field::{Fields, text};
use crate::volume::node::{Kind, Meta, Node, Time};

/// The longest directory, in bytes: 65,536 entries are what the specification allows.
pub const LONGEST: u64 = 65_536 * ENTRY;

/// The first byte of an entry that is not in use.
const DELETED: u8 = 0xe5;

/// What stands for [`DELETED`] as the first byte of a name.
const ESCAPED: u8 = 0x05;

/// Attributes with a name.
const ATTRIBUTES: [(u8, &str); 6] = [
    (0x01, "read-only"),
    (0x02, "hidden"),
    (0x04, "system"),
    (0x20, "archive"),
    (0x40, "device"),
    (0x80, "reserved"),
];

/// An entry.
pub struct Entry(DirEntry);

/// What is in a directory.
#[derive(Default)]
pub struct Found {
    pub names: Vec<(Vec<u8>, Node)>,
    /// The label, in the top directory.
    pub label: Option<String>,
}

impl Fat<'_> {
    /// Reads the entry at the byte `place`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn entry(&self, place: u64) -> Result<Entry> {
        let mut bytes = [0; size_of::<DirEntry>()];
        self.region.read(place, &mut bytes, "a directory entry")?;
        let entry = DirEntry::read_from_bytes(&bytes).ok();
        Ok(Entry(entry.context("a directory entry is too short")?))
    }

    /// The label in the top directory.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn label(&self) -> Result<Option<String>> {
        let contents = self.directory(Node { id: ROOT });
        let contents = contents.context("reading the top directory")?;
        Ok(read(self, &contents)
            .context("reading the top directory")?
            .label)
    }
}

/// Reads the directory with these contents.
///
/// # Errors
/// If it is damaged, or too long.
pub fn read(fat: &Fat<'_>, contents: &Contents) -> Result<Found> {
    let Contents::Runs { size, runs } = contents else {
        return Ok(Found::default());
    };
    ensure!(
        *size <= LONGEST,
        "it has {size} bytes, but at most {LONGEST} are allowed"
    );
    let mut found = Found::default();
    let mut long = LongName::default();
    for run in runs {
        let mut bytes = vec![0; usize::try_from(run.length)?];
        let place = run.place.unwrap_or_default();
        fat.region.read(place, &mut bytes, "a directory")?;
        for (index, entry) in (0_u64..).zip(bytes.chunks_exact(size_of::<DirEntry>())) {
            let at = place.saturating_add(index.saturating_mul(ENTRY));
            let entry = DirEntry::read_from_bytes(entry)
                .ok()
                .context("an entry is too short")?;
            match entry.dir_name[0] {
                0 => return Ok(found),
                DELETED => long = LongName::default(),
                _ if entry.dir_attr & 0x3f == attr::LONG_NAME => {
                    long.add(zerocopy::IntoBytes::as_bytes(&entry));
                }
                _ if entry.dir_attr & attr::VOLUME_ID != 0 => {
                    found.label = Some(text(&entry.dir_name));
                    long = LongName::default();
                }
                first => {
                    let name = std::mem::take(&mut long).finish(&entry.dir_name);
                    let name = name.unwrap_or_else(|| short_name(&entry));
                    ensure!(
                        !name.is_empty() && !name.contains(&b'/') && !name.contains(&0),
                        "the entry at byte {at} has an invalid name: the file system is damaged"
                    );
                    if first != b'.' {
                        found.names.push((name, Node { id: at }));
                    }
                }
            }
        }
    }
    Ok(found)
}

/// A long name that is being read, last piece first.
#[derive(Default)]
struct LongName {
    /// Its pieces, from the last one on.
    pieces: Vec<[u16; LongDirEntry::UNITS]>,
    /// The number of the next piece.
    next: u8,
    checksum: u8,
}

impl LongName {
    /// The offsets of the UTF-16 units in an entry.
    const UNITS: [usize; LongDirEntry::UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

    fn add(&mut self, entry: &[u8]) {
        let fields = Fields(entry);
        let [number] = fields.bytes(0);
        let [checksum] = fields.bytes(13);
        if number & LongDirEntry::LAST != 0 {
            *self = LongName {
                next: number & !LongDirEntry::LAST,
                checksum,
                pieces: Vec::new(),
            };
        }
        if number & !LongDirEntry::LAST != self.next || self.next == 0 || checksum != self.checksum
        {
            *self = LongName::default();
            return;
        }
        self.next = self.next.saturating_sub(1);
        self.pieces.push(LongName::UNITS.map(|at| fields.le16(at)));
    }

    /// The name, if it is complete and belongs to the short name.
    fn finish(self, short: &[u8; 11]) -> Option<Vec<u8>> {
        let sum = |sum: u8, byte: &u8| sum.rotate_right(1).wrapping_add(*byte);
        if self.pieces.is_empty() || self.next != 0 || short.iter().fold(0, sum) != self.checksum {
            return None;
        }
        let units = self.pieces.into_iter().rev().flatten();
        let units: Vec<u16> = units.take_while(|&unit| unit != 0).collect();
        Some(String::from_utf16_lossy(&units).into_bytes())
    }
}

/// The name in 8.3 format. Bytes beyond ASCII are in an unknown code page, and unchanged.
fn short_name(entry: &DirEntry) -> Vec<u8> {
    let (base, extension) = entry.dir_name.split_at(8);
    let part = |bytes: &[u8], lower: u8| {
        let mut part = bytes.trim_ascii_end().to_vec();
        if entry.dir_nt_res & lower != 0 {
            part.make_ascii_lowercase();
        }
        part
    };
    let mut name = part(base, 0x08);
    if name.first() == Some(&ESCAPED) {
        name[0] = DELETED;
    }
    let extension = part(extension, 0x10);
    if !extension.is_empty() {
        name.push(b'.');
        name.extend(extension);
    }
    name
}

impl Entry {
    /// Whether it is that of a directory.
    pub fn is_directory(&self) -> bool {
        self.0.dir_attr & attr::DIRECTORY != 0
    }

    /// See [`attr`].
    pub fn attributes(&self) -> u8 {
        self.0.dir_attr
    }

    /// The first byte, which says whether the entry is in use.
    pub fn first_byte(&self) -> u8 {
        self.0.dir_name[0]
    }

    /// The first cluster, or 0.
    pub fn cluster(&self, geometry: &Geometry) -> u64 {
        let high = match geometry.width {
            Width::Bits32 => u64::from(self.0.dir_fst_clus_hi.get()),
            // It has another meaning.
            Width::Bits12 | Width::Bits16 => 0,
        };
        high << 16 | u64::from(self.0.dir_fst_clus_lo.get())
    }

    /// Length in bytes; 0 for a directory.
    pub fn size(&self) -> u64 {
        self.0.dir_file_size.get().into()
    }

    /// What it says about the file. FAT has local times, here taken for UTC.
    pub fn meta(&self) -> Meta {
        let entry = &self.0;
        let names = ATTRIBUTES
            .iter()
            .filter(|(bit, _)| entry.dir_attr & bit != 0);
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        let created = time(entry.dir_crt_date.get(), entry.dir_crt_time.get());
        let hundredths = u64::from(entry.dir_crt_time_tenth);
        let created = Time {
            seconds: created
                .seconds
                .saturating_add(i64::from(entry.dir_crt_time_tenth / 100)),
            nanoseconds: u32::try_from(hundredths % 100)
                .unwrap_or(0)
                .saturating_mul(10_000_000),
        };
        Meta {
            kind: if self.is_directory() {
                Kind::Directory
            } else {
                Kind::File
            },
            mode: None,
            owner: None,
            size: self.size(),
            times: vec![
                (
                    "mtime",
                    time(entry.dir_wrt_date.get(), entry.dir_wrt_time.get()),
                ),
                ("atime", time(entry.dir_lst_acc_date.get(), 0)),
                ("crtime", created),
            ],
            links: 1,
            inode: None,
            device: None,
            others: vec![
                ("attributes", names.join(", ")),
                (
                    "short name",
                    String::from_utf8_lossy(&entry.dir_name).into_owned(),
                ),
            ],
        }
    }
}

/// A date and a time ("Date and Time Formats"). An impossible date, such as 0, is the beginning of 1980.
fn time(date: u16, time: u16) -> Time {
    let start = Date::from_calendar_date(1980, Month::January, 1);
    let part = |value: u16, shift: u32, mask: u16| u8::try_from(value >> shift & mask).unwrap_or(0);
    let day = Month::try_from(part(date, 5, 0xf)).ok().and_then(|month| {
        let year = i32::from(date >> 9).saturating_add(1980);
        Date::from_calendar_date(year, month, part(date, 0, 0x1f)).ok()
    });
    let clock = Clock::from_hms(
        part(time, 11, 0x1f),
        part(time, 5, 0x3f),
        part(time, 0, 0x1f).saturating_mul(2),
    );
    let day = day.or(start.ok());
    let seconds = day.map(|day| {
        let clock = clock.unwrap_or(Clock::MIDNIGHT);
        PrimitiveDateTime::new(day, clock)
            .assume_utc()
            .unix_timestamp()
    });
    Time {
        seconds: seconds.unwrap_or_default(),
        nanoseconds: 0,
    }
}
