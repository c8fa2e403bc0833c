//! Computation of the smallest file system that holds a tree.

use super::allocate;
use super::census::Census;
use super::geometry::Geometry;
use crate::fs::PlanError;
use crate::tree::Tree;

/// The smallest size that is chosen automatically: 8 MiB, from which there is a journal.
pub const MINIMUM: u64 = 2048;

/// Sizes, in blocks, at which [`Geometry`] has less metadata than just below or a journal of a
/// different length.
const STEPS: [u64; 13] = [
    768,
    2048,
    32_768,
    131_072,
    262_144,
    524_288,
    4_194_304,
    8_388_608,
    16_777_216,
    33_554_432,
    1 << 30,
    1 << 32,
    (1 << 32) + 1,
];

/// Returns the smallest number of blocks, at least `from`, of a file system that holds the tree and
/// leaves `free` blocks to ordinary users. With 0, even the blocks that only root or Linux itself
/// can fill may be used.
///
/// # Errors
/// [`PlanError::Unrepresentable`] if no file system is large enough.
pub fn smallest(tree: &Tree, census: &Census, from: u64, free: u64) -> Result<u64, PlanError> {
    let mut blocks = from.max(census.blocks.saturating_add(free));
    let most = census.features.most_blocks();
    while blocks <= most {
        let step = match missing(tree, census, blocks, free) {
            None => return Ok(blocks),
            Some(step) => step,
        };
        blocks += step;
    }
    Err(PlanError::Unrepresentable(vec![format!(
        "{} blocks of 4 KiB, {free} free blocks and {} inodes; this {} writer's limit is \
         {most} blocks (16 TiB)",
        census.blocks,
        census.inodes(),
        census.features.name
    )]))
}

/// Returns the number of blocks to add for the next size that may be large enough, or `None` if
/// this one is.
///
/// Within a group and between two steps, each added block leaves at most one more for files, so the
/// search can skip as many as are missing.
fn missing(tree: &Tree, census: &Census, blocks: u64, free: u64) -> Option<u64> {
    let Some(geometry) =
        Geometry::for_tree(census.features, blocks, census.inodes(), census.blocks)
    else {
        return Some(1);
    };
    let mut needed = geometry.own_blocks() + census.blocks;
    if free > 0 {
        needed += withheld(&geometry) + free;
    }
    if needed > geometry.blocks {
        // If the last group was dropped or groups are shorter, the search cannot skip any size.
        let plain = geometry.blocks == blocks && geometry.blocks_per_group == 32_768;
        if !plain {
            return Some(1);
        }
        let group_end = blocks.next_multiple_of(geometry.blocks_per_group) + 1;
        let next = STEPS.iter().copied().find(|&step| step > blocks);
        let limit = next.map_or(group_end, |next| next.min(group_end));
        return Some((needed - geometry.blocks).min(limit - blocks).max(1));
    }
    match allocate::outline(tree, census, blocks) {
        Some(layout) if free == 0 || layout.free >= withheld(&layout.geometry) + free => None,
        _ => Some(1),
    }
}

/// Returns the number of free blocks that ordinary users can't fill.
fn withheld(geometry: &Geometry) -> u64 {
    geometry.reserved + geometry.reserved_by_linux()
}
