//! Encoding of the superblock.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::compress::{Compression, PIECE, Packed};
use super::layout::Layout;
use super::ondisk::{
    BLOCK_SIZE, DeflateCfgs, Lz4Cfgs, SuperBlock, ZstdCfgs, feature_compat, feature_incompat,
};
use crate::fs::Options;
use crate::fs::number::{TooWide, index, le16, le32};
use crate::tree::InodeId;

/// Returns the length of the superblock and the configuration of the compression in bytes.
pub fn length(packed: Option<&Packed>) -> u64 {
    let configuration = match packed.map(|packed| packed.compression) {
        None => 0,
        Some(Compression::Lz4 { .. }) => size_of::<Lz4Cfgs>(),
        Some(Compression::Deflate { .. }) => size_of::<DeflateCfgs>(),
        Some(Compression::Zstd { .. }) => size_of::<ZstdCfgs>(),
    };
    // usize to u64: lossless on every target Rust has.
    (size_of::<SuperBlock>() + configuration) as u64
}

/// Encodes the superblock, without its checksum, and what follows it.
///
/// # Errors
/// If a number is too large for its field.
pub fn encode(
    layout: &Layout,
    options: &Options,
    inodes: u64,
    packed: Option<&Packed>,
) -> Result<Vec<u8>, TooWide> {
    let mut superblock = SuperBlock::new_zeroed();
    superblock.magic = SuperBlock::MAGIC;
    superblock.feature_compat = U32::new(feature_compat::SB_CHKSUM | feature_compat::MTIME);
    superblock.blkszbits = SuperBlock::BLOCK_BITS;
    superblock.rootnid = le16(layout.number(InodeId::ROOT))?;
    superblock.inos = U64::new(inodes);
    superblock.epoch = U64::new(options.time.seconds.cast_unsigned());
    superblock.fixed_nsec = U32::new(options.time.nanoseconds);
    superblock.blocks = le32(layout.blocks)?;
    superblock.xattr_blkaddr = U32::new(layout.xattr_block);
    superblock.uuid = options.uuid.into_bytes();
    let label = options.label.as_bytes();
    for (place, byte) in superblock.volume_name.iter_mut().zip(label) {
        *place = *byte;
    }
    superblock.feature_incompat = U32::new(layout.features);
    let mut bytes = Vec::new();
    match packed {
        Some(packed) if layout.features & feature_incompat::COMPR_CFGS != 0 => {
            superblock.available_compr_algs = U16::new(1 << packed.compression.algorithm());
            bytes.extend_from_slice(superblock.as_bytes());
            configuration(packed, &mut bytes)?;
        }
        _ => bytes.extend_from_slice(superblock.as_bytes()),
    }
    Ok(bytes)
}

/// Appends the configuration of the compression to `out`.
fn configuration(packed: &Packed, out: &mut Vec<u8>) -> Result<(), TooWide> {
    match packed.compression {
        Compression::Lz4 { .. } => {
            let mut lz4 = Lz4Cfgs::new_zeroed();
            lz4.length = le16(size_of_val(&lz4) - size_of_val(&lz4.length))?;
            lz4.max_distance = U16::MAX_VALUE;
            lz4.max_pclusterblks = le16(packed.largest().max(1))?;
            out.extend_from_slice(lz4.as_bytes());
        }
        Compression::Deflate { .. } => {
            let mut deflate = DeflateCfgs::new_zeroed();
            deflate.length = le16(size_of_val(&deflate) - size_of_val(&deflate.length))?;
            deflate.windowbits = 15;
            out.extend_from_slice(deflate.as_bytes());
        }
        Compression::Zstd { .. } => {
            let mut zstd = ZstdCfgs::new_zeroed();
            zstd.length = le16(size_of_val(&zstd) - size_of_val(&zstd.length))?;
            // The window is at most the longest piece.
            zstd.windowlog = WINDOW_LOG;
            out.extend_from_slice(zstd.as_bytes());
        }
    }
    Ok(())
}

/// The `windowlog` of a window that contains the longest piece, which is less than two pieces.
const WINDOW_LOG: u8 = {
    let log = u64::ilog2(2 * PIECE);
    assert!(log - 10 <= 10, "Linux's limit is 1 MiB");
    // u32 to u8: just checked.
    (log - 10).to_le_bytes()[0]
};

/// Fills in the checksum of a superblock. `bytes` begins with the superblock and contains at least
/// the rest of its block.
pub fn set_checksum(bytes: &mut [u8]) {
    let rest = index(BLOCK_SIZE - SuperBlock::OFFSET);
    let checksum = !crc32c::crc32c(&bytes[..rest]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
}
