//! [`Allocation`]: which ranges of a disk have data.

use std::ops::Range;

use super::Image;
use crate::fs::BLOCK;
use crate::holes;

/// The ranges of a disk that have data. All others are zeros.
pub struct Allocation {
    length: u64,
    /// In whole blocks of the disk, in order, none adjacent to another one.
    data: Vec<Range<u64>>,
}

/// Consecutive bytes of a disk that have the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Whether they are data. Otherwise, they are zeros.
    pub is_data: bool,
    /// The first byte after them.
    pub end: u64,
}

impl Allocation {
    /// Returns the allocation of `image`, where `made` are the ranges that are generated in memory,
    /// in order.
    pub(super) fn new(image: &Image, made: Vec<Range<u64>>) -> Allocation {
        let copied = image.parts.iter().flat_map(|part| {
            let extents = part.content.copied().iter();
            extents.map(|extent| {
                let start = part.start.saturating_add(extent.offset);
                start..start.saturating_add(extent.length)
            })
        });
        // Small files are next to each other, so there are few ranges after this.
        let copied = holes::widen(copied, image.length, BLOCK);
        let mut data = [copied, made].concat();
        data.sort_unstable_by_key(|range| range.start);
        Allocation {
            length: image.length,
            data: holes::widen(data, image.length, BLOCK),
        }
    }

    /// Returns the longest run that contains the byte at `offset`, from that byte on. At the end of
    /// the disk and after it, this is an empty run.
    pub fn run(&self, offset: u64) -> Run {
        let next = self.data.partition_point(|range| range.end <= offset);
        match self.data.get(next) {
            Some(range) if range.start <= offset => Run {
                is_data: true,
                end: range.end,
            },
            next => Run {
                is_data: false,
                end: next.map_or(self.length, |range| range.start).max(offset),
            },
        }
    }
}
