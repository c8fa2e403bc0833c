//! The sizes of everything in a file system of a given length, as `mkfs.f2fs` of f2fs-tools 1.16.0
//! computes them (`f2fs_prepare_super_block` in mkfs/f2fs_format.c).

use super::logs::Log;
use super::ondisk::{BLOCK_SIZE, Checkpoint, NAT_ENTRIES, SIT_ENTRIES};

/// Number of blocks in a segment.
pub const SEGMENT: u32 = 512;
/// Length of a segment in bytes.
pub const SEGMENT_SIZE: u64 = SEGMENT as u64 * BLOCK_SIZE;
/// Number of segments for checkpoints.
const CHECKPOINT_SEGMENTS: u32 = 2;
/// Bytes of the bitmap that tells which copies of the blocks in a segment are valid.
const BITMAP_SIZE: u32 = SEGMENT / 8;
/// `F2FS_MAX_SEGMENT`, of which the last is not used: two of its addresses have special meanings.
pub const MAX_SEGMENTS: u64 = 8_388_606;
/// `F2FS_MIN_SEGMENTS`.
const MIN_SEGMENTS: u32 = 9;
/// Number of logs, each of which fills a segment of its own.
const LOGS: u32 = Log::COUNT;
/// Numbers of nodes below 3 are reserved.
pub const RESERVED_NODES: u64 = 3;

/// The sizes of the areas of a file system, in segments of 2 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Length in blocks.
    pub blocks: u64,
    /// All segments, without the one that contains the superblocks.
    pub segments: u32,
    /// Segments of both copies of the SIT.
    pub sit: u32,
    /// Segments of both copies of the NAT.
    pub nat: u32,
    /// Segments of the summaries.
    pub ssa: u32,
    /// Segments of nodes and data.
    pub main: u32,
    /// Blocks after each checkpoint for its bitmap of SIT blocks.
    pub cp_payload: u32,
    /// Segments that are reserved for garbage collection.
    pub reserved: u32,
    /// Segments that files can't fill, including the reserved ones.
    pub overprovision: u32,
}

impl Geometry {
    /// Computes the sizes for `length` bytes. Returns `None` if it is too short or too long.
    pub fn new(length: u64) -> Option<Geometry> {
        let segments = (length / SEGMENT_SIZE).checked_sub(1)?;
        if segments > MAX_SEGMENTS {
            return None;
        }
        let segments = u32::try_from(segments).ok()?;
        let sit = tables(segments, SIT_ENTRIES)?;
        let rest = segments.checked_sub(CHECKPOINT_SEGMENTS + 2 * sit)?;
        // The bitmaps of SIT and NAT share the checkpoint's block, unless that of the SIT is too long.
        let sit_bitmap = sit * BITMAP_SIZE;
        let (cp_payload, space) = match Checkpoint::BITMAPS.checked_sub(sit_bitmap) {
            Some(space) if space >= BITMAP_SIZE => (0, space),
            _ => (sit_bitmap.div_ceil(4096), Checkpoint::BITMAPS),
        };
        let nat = tables(rest.checked_mul(SEGMENT)?, NAT_ENTRIES)?.min(space / BITMAP_SIZE);
        let rest = rest.checked_sub(2 * nat)?;
        let ssa = (rest + 1).div_ceil(SEGMENT);
        let main = rest.checked_sub(ssa)?;
        if segments < MIN_SEGMENTS || main <= LOGS {
            return None;
        }
        let (reserved, overprovision) = overprovision(main)?;
        (main - LOGS >= reserved && main > overprovision).then_some(Geometry {
            blocks: length / BLOCK_SIZE,
            segments,
            sit: 2 * sit,
            nat: 2 * nat,
            ssa,
            main,
            cp_payload,
            reserved,
            overprovision,
        })
    }

    /// Address of the first checkpoint, which is in the first segment.
    pub const CHECKPOINTS: u32 = SEGMENT;

    /// Address of the SIT.
    pub const SIT: u32 = Geometry::CHECKPOINTS + CHECKPOINT_SEGMENTS * SEGMENT;

    /// Segments for checkpoints.
    pub const CHECKPOINT_SEGMENTS: u32 = CHECKPOINT_SEGMENTS;

    /// Address of the NAT.
    pub fn nat_address(&self) -> u32 {
        Geometry::SIT + self.sit * SEGMENT
    }

    /// Address of the summaries.
    pub fn ssa_address(&self) -> u32 {
        self.nat_address() + self.nat * SEGMENT
    }

    /// Address of the nodes and data.
    pub fn main_address(&self) -> u32 {
        self.ssa_address() + self.ssa * SEGMENT
    }

    /// Number of blocks that files can fill, nodes included.
    pub fn user_blocks(&self) -> u64 {
        u64::from(self.main - self.overprovision) * u64::from(SEGMENT)
    }

    /// Number of nodes that can exist.
    pub fn nodes(&self) -> u64 {
        // usize to u64: lossless.
        u64::from(self.nat / 2 * SEGMENT) * NAT_ENTRIES as u64 - RESERVED_NODES
    }
}

/// Returns the number of segments of a table with `count` entries, `each` per block.
fn tables(count: u32, each: usize) -> Option<u32> {
    Some(count.div_ceil(u32::try_from(each).ok()?).div_ceil(SEGMENT))
}

/// Returns the numbers of reserved segments and of all segments that files can't fill, of `main`
/// segments (`get_best_overprovision` in include/f2fs_fs.h). `mkfs.f2fs` computes with floating-point
/// numbers, and their rounding counts.
fn overprovision(main: u32) -> Option<(u32, u32)> {
    let usable = f64::from(main);
    let logs = f64::from(LOGS);
    let (mut candidate, end, step) = match main < 256 {
        true => (10.0, 95.0, 5.0),
        false => (0.01, 10.0, 0.01),
    };
    let (mut best, mut most) = (0.0, 0.0);
    while candidate <= end {
        let reserved = 100.0 / candidate + 1.0 + logs;
        let kept = (usable - reserved) * candidate / 100.0;
        let space = usable - reserved.max(kept) - 2.0;
        if kept >= 0.0 && most < space {
            (best, most) = (candidate, space);
        }
        candidate += step;
    }
    if best == 0.0 {
        return None;
    }
    let reserved = floor(100.0 / best + 1.0 + logs);
    let kept = floor((usable - f64::from(reserved)) * best / 100.0);
    Some((reserved, kept.max(reserved) + 2))
}

/// Returns the largest integer that is not larger than `value`, at least 0.
fn floor(value: f64) -> u32 {
    (0..32).rev().fold(0, |found, bit| {
        let larger = found | 1 << bit;
        match f64::from(larger) <= value {
            true => larger,
            false => found,
        }
    })
}
