//! The superblock and its copies.

use uuid::Uuid;
use zerocopy::FromZeros;
use zerocopy::big_endian::{U16, U32, U64};

use super::census::{CHUNK, Census, REALTIME, ROOT};
use super::geometry::{CHUNK_BLOCKS, HEADER_BLOCKS};
use super::layout::Layout;
use super::ondisk::{BLOCK_SIZE, Dinode, Dsb, SECTOR_SIZE, be16, be32, put};
use crate::fs::number::{TooWide, le8};

/// `NULLFSINO`.
const NONE: U64 = U64::new(u64::MAX);

/// Encodes the superblock of the allocation group `group`. Copies have the values that `mkfs.xfs`
/// leaves in them: those of a file system without inodes.
///
/// # Errors
/// If a number is too large for its field.
pub fn encode(
    group: u64,
    layout: &Layout,
    census: &Census,
    uuid: Uuid,
    label: &[u8],
) -> Result<Dsb, TooWide> {
    let geometry = &layout.geometry;
    let mut version = Dsb::VERSION;
    if census.has_attributes {
        version |= Dsb::ATTRIBUTES;
    }
    let log = geometry.log_group() * geometry.group_blocks + HEADER_BLOCKS;
    // usize to u64: lossless.
    let inode_size = size_of::<Dinode>() as u64;
    let root = U64::new(layout.number(ROOT));
    let chunks = census.chunks();
    let mut superblock = Dsb {
        sb_magicnum: Dsb::MAGIC,
        sb_blocksize: be32(BLOCK_SIZE)?,
        sb_dblocks: U64::new(geometry.blocks),
        sb_uuid: uuid.into_bytes(),
        sb_logstart: U64::new(geometry.address(log)),
        sb_rootino: root,
        sb_rbmino: U64::new(layout.number(REALTIME[0])),
        sb_rsumino: U64::new(layout.number(REALTIME[1])),
        sb_rextsize: U32::new(1),
        sb_agblocks: be32(geometry.group_blocks)?,
        sb_agcount: be32(geometry.groups)?,
        sb_logblocks: be32(geometry.log_blocks)?,
        sb_versionnum: U16::new(version),
        sb_sectsize: be16(SECTOR_SIZE)?,
        sb_inodesize: be16(inode_size)?,
        sb_inopblock: be16(BLOCK_SIZE / inode_size)?,
        sb_blocklog: le8(BLOCK_SIZE.trailing_zeros())?,
        sb_sectlog: le8(SECTOR_SIZE.trailing_zeros())?,
        sb_inodelog: le8(inode_size.trailing_zeros())?,
        sb_inopblog: le8((BLOCK_SIZE / inode_size).trailing_zeros())?,
        sb_agblklog: le8(geometry.group_log())?,
        sb_imax_pct: le8(geometry.inode_percentage(chunks))?,
        sb_icount: U64::new(chunks * CHUNK),
        sb_ifree: U64::new(chunks * CHUNK - census.inodes()),
        sb_fdblocks: U64::new(layout.free_blocks()),
        sb_inoalignmt: be32(CHUNK_BLOCKS)?,
        sb_logsunit: U32::new(1),
        sb_features2: U32::new(Dsb::FEATURES2),
        sb_bad_features2: U32::new(Dsb::FEATURES2),
        sb_features_ro_compat: U32::new(Dsb::RO_COMPAT),
        sb_features_incompat: U32::new(Dsb::INCOMPAT),
        sb_spino_align: be32(CHUNK_BLOCKS / 2)?,
        ..Dsb::new_zeroed()
    };
    put(&mut superblock.sb_fname, 0, label);
    if group > 0 {
        let has_root = group == geometry.groups - 1 || group == (geometry.groups - 1) / 2;
        superblock.sb_rootino = if has_root { root } else { NONE };
        (superblock.sb_rbmino, superblock.sb_rsumino) = (NONE, NONE);
        superblock.sb_inprogress = 1;
        (superblock.sb_icount, superblock.sb_ifree) = (U64::ZERO, U64::ZERO);
        let free = geometry.blocks - geometry.groups * HEADER_BLOCKS - geometry.log_blocks;
        superblock.sb_fdblocks = U64::new(free);
    }
    Ok(superblock)
}
