//! The smallest file system that holds a tree.

use super::MOST_BLOCKS;
use super::allocate;
use super::census::Census;
use super::geometry::Geometry;
use crate::fs::PlanError;
use crate::tree::Tree;

/// The smallest file system that is made without being asked for: 8 MiB, where the journal begins.
pub const MINIMUM: u64 = 2048;

/// Sizes, in blocks, at which a rule of [`Geometry`] gives less metadata than just before, or
/// where it gives another journal.
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
    MOST_BLOCKS + 1,
];

/// The smallest number of blocks, at least `from`, of a file system which holds the tree and has
/// then `free` blocks for ordinary users; 0 asks for none, not even for those that only root or
/// Linux itself can fill.
///
/// # Errors
/// [`PlanError::Unrepresentable`] if no file system is large enough.
pub fn smallest(tree: &Tree, census: &Census, from: u64, free: u64) -> Result<u64, PlanError> {
    let mut blocks = from.max(census.blocks.saturating_add(free));
    while blocks <= MOST_BLOCKS {
        let step = match missing(tree, census, blocks, free) {
            None => return Ok(blocks),
            Some(step) => step,
        };
        blocks += step;
    }
    Err(PlanError::Unrepresentable(vec![format!(
        "{} blocks of 4 KiB, {free} free ones and {} inodes: ext4 holds {MOST_BLOCKS} blocks here (16 TiB)",
        census.blocks,
        census.inodes()
    )]))
}

/// How many blocks more the next file system has that may be large enough; `None` if this one is.
///
/// Within one group and between two steps, a block more leaves at most a block more for files, so
/// as many as are missing can be skipped.
fn missing(tree: &Tree, census: &Census, blocks: u64, free: u64) -> Option<u64> {
    let Some(geometry) = Geometry::for_tree(blocks, census.inodes(), census.blocks) else {
        return Some(1);
    };
    let mut needed = geometry.overhead() + census.blocks;
    if free > 0 {
        needed += withheld(&geometry) + free;
    }
    if needed > geometry.blocks {
        // Where the last group was dropped or groups are shorter, no such rule is known.
        let plain = geometry.blocks == blocks && geometry.blocks_per_group == 32_768;
        if !plain {
            return Some(1);
        }
        let group_end = blocks.next_multiple_of(geometry.blocks_per_group) + 1;
        let next = STEPS.iter().copied().find(|&step| step > blocks);
        let limit = next.map_or(group_end, |next| next.min(group_end));
        return Some((needed - geometry.blocks).min(limit - blocks).max(1));
    }
    let layout = allocate::lay_out(tree, census, blocks);
    match layout {
        Some(layout) if free == 0 || layout.free >= withheld(&layout.geometry) + free => None,
        _ => Some(1),
    }
}

/// Free blocks that ordinary users can't fill.
fn withheld(geometry: &Geometry) -> u64 {
    geometry.reserved + geometry.kept_by_linux()
}
