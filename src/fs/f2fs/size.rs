//! Computation of the smallest file system that holds a tree.

use super::census::Census;
use super::geometry::{Geometry, MAX_SEGMENTS, SEGMENT, SEGMENT_SIZE};
use super::layout::{Layout, new_file};
use super::ondisk::BLOCK_SIZE;
use crate::fs::PlanError;

/// How much smaller a step is than what is missing: the part that files can't fill may shrink.
const CAUTION: u64 = 16;

/// Returns the length in bytes, at least `from`, of the smallest file system that holds the tree and
/// a further file of `free` bytes.
///
/// # Errors
/// [`PlanError::Unrepresentable`] if no file system is large enough.
pub fn smallest(census: &Census, from: u64, free: u64) -> Result<u64, PlanError> {
    let free = free.div_ceil(BLOCK_SIZE);
    let (more, _) = new_file(free);
    let needed = census.all_blocks().saturating_add(more);
    // usize to u64: lossless.
    let segment = u64::from(SEGMENT);
    let mut segments = (from / SEGMENT_SIZE)
        .saturating_sub(1)
        .max(needed / segment);
    while segments <= MAX_SEGMENTS {
        let length = (segments + 1) * SEGMENT_SIZE;
        let Some(geometry) = Geometry::new(length) else {
            segments += 1;
            continue;
        };
        if let Some(layout) = Layout::new(geometry, census)
            && layout.room(census) >= free
        {
            return Ok(length);
        }
        let missing = needed.saturating_sub(geometry.user_blocks()) / segment;
        segments += missing.saturating_sub(CAUTION + missing / CAUTION).max(1);
    }
    Err(PlanError::Unrepresentable(vec![format!(
        "{} blocks of 4 KiB, of which {} are nodes, and {free} free blocks; f2fs's limit is 16 TiB",
        census.all_blocks(),
        census.all_nodes()
    )]))
}
