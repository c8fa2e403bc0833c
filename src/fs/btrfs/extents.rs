//! The places of all file data. They do not depend on the length of the file system: data comes
//! first on the device, and an address of data is also its offset there.

use super::census::Census;
use super::layout::{self, DATA_START};
use super::ondisk::SECTOR_SIZE;
use super::reading::{Part, Stored};
use super::segments::{self, Segment};
use crate::fs::DataExtent;
use crate::tree::{Content, Kind, Tree};

/// The longest extent (`BTRFS_MAX_EXTENT_SIZE`).
pub const LONGEST: u64 = 128 << 20;

/// [`DataExtent::file`] of the file with compressed data. That of a file of the tree is its place
/// plus 1.
pub const COMPRESSED: u32 = 0;

/// An extent of a file.
#[derive(Debug, Clone, Copy)]
pub struct FileExtent {
    /// The place of the file.
    pub place: u32,
    /// Whether it is compressed.
    pub compressed: bool,
    /// Where it begins in the file.
    pub offset: u64,
    /// Number of bytes in the file, in whole sectors.
    pub bytes: u32,
    /// Its address.
    pub address: u64,
    /// Number of bytes on disk, in whole sectors.
    pub disk_bytes: u32,
}

/// All file data.
#[derive(Debug)]
pub struct Extents {
    /// The extents in the order of files, offsets, and addresses.
    pub all: Vec<FileExtent>,
    /// What is copied, in the same order.
    pub data: Vec<DataExtent>,
    /// Compressed data in inodes' items, by place.
    pub inline: Vec<(u32, Part)>,
    /// The address after the last extent.
    pub end: u64,
}

impl Extents {
    /// Places all segments.
    pub fn new(tree: &Tree, census: &Census, segments: &[Segment], stored: &[Stored]) -> Extents {
        let mut placer = Placer {
            extents: Extents {
                all: Vec::new(),
                data: Vec::new(),
                inline: Vec::new(),
                end: DATA_START,
            },
        };
        let mut plain: Option<Run> = None;
        for (at, segment) in segments.iter().enumerate() {
            let stored = stored.get(at).copied().unwrap_or(Stored::Plain);
            let content = content(tree, census, segment.place);
            let size = content.map_or(0, |content| content.size);
            if stored == Stored::Plain {
                if content.is_some_and(segments::is_inline) {
                    continue;
                }
                match &mut plain {
                    Some(run) if run.continues(segment) => run.end = segment.end(),
                    _ => {
                        placer.plain(plain.take());
                        plain = Some(Run {
                            place: segment.place,
                            start: segment.offset,
                            end: segment.end(),
                        });
                    }
                }
                continue;
            }
            placer.plain(plain.take());
            match stored {
                Stored::Compressed(part) => placer.compressed(*segment, part),
                Stored::Inline(part) if size > 0 => {
                    placer.extents.inline.push((segment.place, part));
                }
                Stored::Inline(_) | Stored::Plain => {}
            }
        }
        placer.plain(plain);
        placer.extents
    }
}

fn content<'a>(tree: &'a Tree, census: &Census, place: u32) -> Option<&'a Content> {
    match &tree.inode(census.id(place)?).kind {
        Kind::File(content) => Some(content),
        _ => None,
    }
}

/// Adjacent segments of a file.
struct Run {
    place: u32,
    start: u64,
    end: u64,
}

impl Run {
    fn continues(&self, next: &Segment) -> bool {
        self.place == next.place && self.end == next.offset
    }
}

struct Placer {
    extents: Extents,
}

impl Placer {
    /// Places data that is not compressed, in as few extents as possible.
    fn plain(&mut self, run: Option<Run>) {
        let Some(run) = run else { return };
        let mut offset = run.start;
        while offset < run.end {
            let left = (run.end - offset).next_multiple_of(SECTOR_SIZE);
            let (address, room) = layout::data_room(self.extents.end, SECTOR_SIZE);
            let bytes = left.min(room).min(LONGEST);
            self.extents.data.push(DataExtent {
                file: run.place.saturating_add(1),
                file_offset: offset,
                offset: address,
                length: bytes.min(run.end - offset),
            });
            self.push(run.place, false, offset, bytes, (address, bytes));
            offset += bytes;
        }
    }

    /// Places a compressed segment, which can't be divided.
    fn compressed(&mut self, segment: Segment, part: Part) {
        let disk_bytes = u64::from(part.length).next_multiple_of(SECTOR_SIZE);
        let (address, _) = layout::data_room(self.extents.end, disk_bytes);
        self.extents.data.push(DataExtent {
            file: COMPRESSED,
            file_offset: part.offset,
            offset: address,
            length: part.length.into(),
        });
        let bytes = u64::from(segment.length).next_multiple_of(SECTOR_SIZE);
        let Segment { place, offset, .. } = segment;
        self.push(place, true, offset, bytes, (address, disk_bytes));
    }

    fn push(
        &mut self,
        place: u32,
        compressed: bool,
        offset: u64,
        bytes: u64,
        (address, disk_bytes): (u64, u64),
    ) {
        // At most LONGEST, so that they fit.
        let short = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        self.extents.all.push(FileExtent {
            place,
            compressed,
            offset,
            bytes: short(bytes),
            address,
            disk_bytes: short(disk_bytes),
        });
        self.extents.end = address + disk_bytes;
    }
}
