//! Checkpoints. Each has a segment: the state of the file system, summaries of the segments that are
//! being filled, the state once more; and at the end of the segment bitmaps of NAT blocks.

use anyhow::Result;
use uuid::Uuid;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::crc::crc;
use super::geometry::{Geometry, SEGMENT};
use super::logs::Log;
use super::ondisk::{BLOCK_SIZE, Checkpoint, ckpt_flags};
use super::segment::View;
use super::tables::{Emit, nat_bits};
use super::{geometry, summary};
use crate::fs::number::{index, le32};
use zerocopy::little_endian::U16;

/// Blocks besides those for the bitmap of SIT blocks: the state twice, and a summary for each log.
const BLOCKS: u32 = 2 + Log::COUNT;

/// Returns the version of the first checkpoint, for which `mkfs.f2fs` uses a random odd number of 31
/// bits. This one is not 1, the version of nodes.
fn version(uuid: Uuid) -> u64 {
    let [a, b, c, d, ..] = Uuid::new_v5(&uuid, b"f2fs checkpoint").into_bytes();
    u64::from(u32::from_le_bytes([a | 1, b, c, d & 0x3f | 0x40]))
}

/// Encodes the state with this version.
fn encode(view: &View<'_>, version: u64, flags: u32) -> Result<Checkpoint> {
    let (census, geometry) = (view.census, &view.layout.geometry);
    let mut block = Checkpoint::new_zeroed();
    block.checkpoint_ver = U64::new(version);
    block.user_block_count = U64::new(geometry.user_blocks());
    block.valid_block_count = U64::new(census.all_blocks());
    block.rsvd_segment_count = U32::new(geometry.reserved);
    block.overprov_segment_count = U32::new(geometry.overprovision);
    block.free_segment_count = U32::new(geometry.main - view.layout.segments);
    block.cur_node_segno.fill(U32::new(u32::MAX));
    block.cur_data_segno.fill(U32::new(u32::MAX));
    for (at, log) in Log::NODES.into_iter().enumerate() {
        let (segment, used) = view.layout.current(census, log)?;
        block.cur_node_segno[at] = U32::new(segment);
        block.cur_node_blkoff[at] = U16::new(used);
    }
    for (at, log) in Log::DATA.into_iter().enumerate() {
        let (segment, used) = view.layout.current(census, log)?;
        block.cur_data_segno[at] = U32::new(segment);
        block.cur_data_blkoff[at] = U16::new(used);
    }
    block.ckpt_flags = U32::new(flags);
    block.cp_pack_total_block_count = U32::new(BLOCKS + geometry.cp_payload);
    block.cp_pack_start_sum = U32::new(1 + geometry.cp_payload);
    block.valid_node_count = le32(census.all_nodes())?;
    block.valid_inode_count = le32(census.inodes())?;
    block.next_free_nid = le32(geometry::RESERVED_NODES + census.all_nodes())?;
    block.sit_ver_bitmap_bytesize = U32::new(geometry.sit / 2 * SEGMENT / 8);
    block.nat_ver_bitmap_bytesize = U32::new(geometry.nat / 2 * SEGMENT / 8);
    block.checksum_offset = U32::new(Checkpoint::CHECKSUM_OFFSET);
    let covered = index(u64::from(Checkpoint::CHECKSUM_OFFSET));
    block.checksum = U32::new(crc(&block.as_bytes()[..covered]));
    Ok(block)
}

/// Passes both checkpoints to `emit`. The second one has the version 0, so that the first counts.
///
/// # Errors
/// Those of `emit`, or if a number is too large for its field.
pub fn write(view: &View<'_>, uuid: Uuid, emit: &mut Emit<'_>) -> Result<()> {
    let geometry = &view.layout.geometry;
    let [full, empty] = nat_bits(view);
    // usize to u64: lossless.
    let bits = 8 + full.len() as u64 + empty.len() as u64;
    let last = BLOCKS + geometry.cp_payload - 1;
    let bits_at = u64::from(SEGMENT) - bits.div_ceil(BLOCK_SIZE);
    let mut flags = ckpt_flags::UMOUNT | ckpt_flags::TRIMMED;
    if u64::from(last) < bits_at {
        flags |= ckpt_flags::NAT_BITS;
    }
    let start = u64::from(Geometry::CHECKPOINTS) * BLOCK_SIZE;
    let offset = |block: u32| start + u64::from(block) * BLOCK_SIZE;
    let state = encode(view, version(uuid), flags)?;
    emit(start, state.as_bytes())?;
    for (block, log) in (1 + geometry.cp_payload..).zip(Log::DATA.into_iter().chain(Log::NODES)) {
        let segment = view.census.blocks(log) / u64::from(SEGMENT);
        let summary = summary::block(view, log, segment)?;
        emit(offset(block), summary.as_bytes())?;
    }
    emit(offset(last), state.as_bytes())?;
    if flags & ckpt_flags::NAT_BITS != 0 {
        let id = state.checkpoint_ver.get() | u64::from(state.checksum.get()) << 32;
        let bytes = [&id.to_le_bytes()[..], &full, &empty].concat();
        emit(start + bits_at * BLOCK_SIZE, &bytes)?;
    }
    let state = encode(view, 0, flags)?;
    emit(offset(SEGMENT), state.as_bytes())?;
    emit(offset(SEGMENT + last), state.as_bytes())
}
