//! The superblock.

use zerocopy::FromZeros;
use zerocopy::little_endian::{U16, U32, U64};

use super::geometry::Geometry;
use super::ondisk::{SuperBlock, put};
use super::temperature::{COLD, HOT};
use super::{META_INODE, NODE_INODE, ROOT_INODE, label};
use crate::fs::Options;
use crate::fs::number::{TooWide, le8, le32};

/// The name of the system that made the file system, where `mkfs.f2fs` writes that of the kernel.
const MAKER: &[u8] = b"make-disk-image";

/// Encodes the superblock.
///
/// # Errors
/// If a number is too large for its field.
pub fn encode(geometry: &Geometry, options: &Options) -> Result<SuperBlock, TooWide> {
    let mut block = SuperBlock::new_zeroed();
    block.magic = U32::new(SuperBlock::MAGIC);
    (block.major_ver, block.minor_ver) = (U16::new(1), U16::new(16));
    // Sectors of 512 bytes, blocks of 4096, segments of 512 blocks.
    block.log_sectorsize = U32::new(9);
    block.log_sectors_per_block = U32::new(3);
    block.log_blocksize = U32::new(12);
    block.log_blocks_per_seg = U32::new(9);
    block.segs_per_sec = U32::new(1);
    block.secs_per_zone = U32::new(1);
    block.block_count = U64::new(geometry.blocks);
    block.section_count = U32::new(geometry.main);
    block.segment_count = U32::new(geometry.segments);
    block.segment_count_ckpt = U32::new(Geometry::CHECKPOINT_SEGMENTS);
    block.segment_count_sit = U32::new(geometry.sit);
    block.segment_count_nat = U32::new(geometry.nat);
    block.segment_count_ssa = U32::new(geometry.ssa);
    block.segment_count_main = U32::new(geometry.main);
    block.segment0_blkaddr = U32::new(Geometry::CHECKPOINTS);
    block.cp_blkaddr = U32::new(Geometry::CHECKPOINTS);
    block.sit_blkaddr = U32::new(Geometry::SIT);
    block.nat_blkaddr = U32::new(geometry.nat_address());
    block.ssa_blkaddr = U32::new(geometry.ssa_address());
    block.main_blkaddr = U32::new(geometry.main_address());
    block.root_ino = U32::new(ROOT_INODE);
    block.node_ino = U32::new(NODE_INODE);
    block.meta_ino = U32::new(META_INODE);
    block.uuid = options.uuid.into_bytes();
    // The census has checked the label.
    if let Ok(label) = label::encode(&options.label) {
        block.volume_name = label;
    }
    block.extension_count = le32(COLD.len())?;
    block.hot_ext_count = le8(HOT.len())?;
    let extensions = COLD.iter().chain(&HOT);
    for (place, extension) in block.extension_list.iter_mut().zip(extensions) {
        put(place, 0, extension.as_bytes());
    }
    block.cp_payload = U32::new(geometry.cp_payload);
    put(&mut block.version, 0, MAKER);
    put(&mut block.init_version, 0, MAKER);
    Ok(block)
}
