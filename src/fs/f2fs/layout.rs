//! The addresses of all blocks: the segments of each log follow those of the previous one.

use super::census::Census;
use super::geometry::{Geometry, SEGMENT};
use super::logs::Log;
use super::nodes;
use crate::fs::number::{TooWide, index};

/// The places of the logs in a file system.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The sizes.
    pub geometry: Geometry,
    /// The first segment of each log, within the main area.
    first: [u32; 6],
    /// Number of segments in use.
    pub segments: u32,
}

impl Layout {
    /// Places what `census` has counted; returns `None` if it does not fit.
    pub fn new(geometry: Geometry, census: &Census) -> Option<Layout> {
        if census.all_blocks() > geometry.user_blocks() || census.all_nodes() > geometry.nodes() {
            return None;
        }
        let mut first = [0; 6];
        let mut segments = 0u32;
        for log in Log::ALL {
            first[log.index()] = segments;
            segments = segments.checked_add(segments_of(census, log)?)?;
        }
        (segments <= geometry.main).then_some(Layout {
            geometry,
            first,
            segments,
        })
    }

    /// Returns the first segment of `log`, within the main area.
    pub fn first_segment(&self, log: Log) -> u32 {
        self.first[log.index()]
    }

    /// Returns the address of the block with the index `at` in `log`.
    pub fn address(&self, log: Log, at: u32) -> u32 {
        self.geometry.main_address() + self.first_segment(log) * SEGMENT + at
    }

    /// Returns the segment of `log` to which the next block will be added, and the number of blocks
    /// in it.
    ///
    /// # Errors
    /// If there are more blocks than addresses.
    pub fn current(&self, census: &Census, log: Log) -> Result<(u32, u16), TooWide> {
        let blocks = census.blocks(log);
        let full = crate::fs::number::le32(blocks / u64::from(SEGMENT))?;
        let rest = crate::fs::number::le16(blocks % u64::from(SEGMENT))?;
        Ok((self.first_segment(log) + full.get(), rest.get()))
    }

    /// Returns how many of the blocks in segment `segment` of `log` are in use.
    pub fn used(census: &Census, log: Log, segment: u64) -> usize {
        let blocks = census
            .blocks(log)
            .saturating_sub(segment * u64::from(SEGMENT));
        index(blocks.min(u64::from(SEGMENT)))
    }

    /// Returns the length in blocks of the longest file for which there is space.
    pub fn room(&self, census: &Census) -> u64 {
        let free = self
            .geometry
            .user_blocks()
            .saturating_sub(census.all_blocks());
        let free_nodes = self.geometry.nodes().saturating_sub(census.all_nodes());
        let fits = |blocks| {
            let (blocks, nodes) = new_file(blocks);
            blocks <= free && nodes <= free_nodes
        };
        let (mut low, mut high) = (0, free);
        while low < high {
            let middle = high - (high - low) / 2;
            match fits(middle) {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        low
    }
}

/// Returns the number of segments of `log`. One is never full.
pub fn segments_of(census: &Census, log: Log) -> Option<u32> {
    u32::try_from(census.blocks(log) / u64::from(SEGMENT) + 1).ok()
}

/// Returns the numbers of blocks and of nodes that a new file with `data` blocks takes, including
/// a block and a node for its name.
pub fn new_file(data: u64) -> (u64, u64) {
    if data == 0 {
        return (0, 0);
    }
    let nodes = nodes::count(data) + 1;
    (data + nodes + 1, nodes)
}
