//! The data of all files, cut into parts that are read at once.

use std::ops::Range;

use super::census::Census;
use super::ondisk::SECTOR_SIZE;
use crate::fs::content::data_blocks;
use crate::tree::{Content, Kind, Tree};

/// The longest extent (`BTRFS_MAX_EXTENT_SIZE`).
pub const LONGEST: u64 = 128 << 20;

/// The longest file whose data is stored in its inode's items: the default of the mount option
/// `max_inline`.
pub const LONGEST_INLINE: u64 = 2048;

/// The most bytes that are compressed together (`BTRFS_MAX_UNCOMPRESSED`).
const COMPRESSED_UNIT: u64 = 128 << 10;

/// What the data is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is not read.
    Nothing,
    /// Checksums only.
    Checksums,
    /// Compression, and checksums.
    Compression,
}

impl Purpose {
    /// The length of the longest segment.
    fn unit(self) -> u64 {
        match self {
            Purpose::Nothing => LONGEST,
            Purpose::Checksums => 1 << 20,
            Purpose::Compression => COMPRESSED_UNIT,
        }
    }
}

/// A part of a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The place of the file.
    pub place: u32,
    /// Where it begins in the file; a multiple of a sector.
    pub offset: u64,
    /// Number of bytes, up to the end of the file.
    pub length: u32,
}

impl Segment {
    /// The offset of the first byte after it.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// Returns whether the data of a file is stored in its inode's items without being compressed.
pub fn is_inline(content: &Content) -> bool {
    content.size <= LONGEST_INLINE && content.data_ranges().next().is_some()
}

/// Returns the sectors of a file that contain data, as ranges of bytes, of which the last one may
/// end beyond the file.
pub fn data(content: &Content) -> impl Iterator<Item = Range<u64>> + '_ {
    data_blocks(content).map(|blocks| blocks.start * SECTOR_SIZE..blocks.end * SECTOR_SIZE)
}

/// Returns the data of all files in the order in which it is stored. Without compression, that of
/// files in their inode's items is left out.
pub fn all(tree: &Tree, census: &Census, purpose: Purpose) -> Vec<Segment> {
    let unit = purpose.unit();
    let mut segments = Vec::new();
    for (place, &id) in (0..).zip(census.ids()) {
        let Kind::File(content) = &tree.inode(id).kind else {
            continue;
        };
        if purpose != Purpose::Compression && is_inline(content) {
            continue;
        }
        for range in data(content) {
            let mut offset = range.start;
            while offset < range.end {
                let end = range.end.min(offset + unit);
                // At most a unit, so that it fits.
                let length = u32::try_from(end.min(content.size) - offset).unwrap_or(u32::MAX);
                segments.push(Segment {
                    place,
                    offset,
                    length,
                });
                offset = end;
            }
        }
    }
    segments
}
