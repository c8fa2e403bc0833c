//! The blocks of files.

use std::ops::Range;

use super::ondisk::BLOCK_SIZE;
use crate::tree::Content;

/// Returns the blocks of a file that contain data, as ranges of block numbers within the file.
pub fn data_blocks(content: &Content) -> impl Iterator<Item = Range<u64>> + '_ {
    let mut ranges = content
        .data_ranges()
        .map(|range| range.offset / BLOCK_SIZE..(range.offset + range.length).div_ceil(BLOCK_SIZE))
        .peekable();
    std::iter::from_fn(move || {
        let mut range = ranges.next()?;
        while let Some(next) = ranges.next_if(|next| next.start <= range.end) {
            range.end = range.end.max(next.end);
        }
        Some(range)
    })
}
