//! Computation of the smallest file system that holds a tree.

use super::allocate::{self, Missing};
use super::census::Census;
use super::geometry::{Geometry, MAXIMUM, MINIMUM};
use super::plan::available;
use crate::fs::PlanError;
use crate::tree::Tree;

/// Returns the smallest number of blocks of a file system that holds the tree and leaves `free` blocks
/// to users.
///
/// # Errors
/// [`PlanError::Unrepresentable`] if no file system is large enough.
pub fn smallest(tree: &Tree, census: &Census, free: u64) -> Result<u64, PlanError> {
    let mut blocks = MINIMUM.max(census.least_blocks().saturating_add(free));
    while let Some(geometry) = Geometry::new(blocks) {
        // Each block that is added leaves at most one more for files, so as many as are missing can
        // be skipped.
        let missing = match allocate::lay_out(tree, census, &geometry) {
            Ok(layout) => free.saturating_sub(available(&layout)),
            Err(Missing(blocks)) => blocks,
        };
        if missing == 0 {
            return Ok(blocks);
        }
        blocks = blocks.saturating_add(missing);
    }
    Err(PlanError::Unrepresentable(vec![format!(
        "{} blocks of 4 KiB, {free} free blocks and {} inodes; this XFS writer's limit is {MAXIMUM} \
         blocks (1 PiB)",
        census.blocks,
        census.inodes()
    )]))
}
