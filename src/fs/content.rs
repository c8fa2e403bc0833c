//! The ranges of data of a file, as every file system needs them.

use std::ops::Range;

use super::BLOCK;
use crate::tree::Content;

/// Checks that the data ranges are in order, do not overlap and are within the file.
///
/// # Errors
/// The problem with the first range that is not.
pub fn check_ranges(content: &Content) -> Result<(), String> {
    let mut end = 0;
    for range in content.data_ranges() {
        let next = range.offset.checked_add(range.length);
        match next {
            Some(next) if range.offset >= end && range.length > 0 && next <= content.size => {
                end = next;
            }
            _ => {
                return Err(format!(
                    "invalid data range of {} bytes at {}: the previous one ends at {end}, the file at {}",
                    range.length, range.offset, content.size
                ));
            }
        }
    }
    Ok(())
}

/// Returns the blocks of a file that contain data, as ranges of block numbers within the file.
pub fn data_blocks(content: &Content) -> impl Iterator<Item = Range<u64>> + '_ {
    let mut ranges = content
        .data_ranges()
        .map(|range| range.offset / BLOCK..(range.offset + range.length).div_ceil(BLOCK))
        .peekable();
    std::iter::from_fn(move || {
        let mut range = ranges.next()?;
        while let Some(next) = ranges.next_if(|next| next.start <= range.end) {
            range.end = range.end.max(next.end);
        }
        Some(range)
    })
}
