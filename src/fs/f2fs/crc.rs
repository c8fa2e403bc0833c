//! The checksum of a checkpoint: CRC-32 as in zlib, but with another initial value and without the
//! final inversion (`f2fs_crc32` in `fs/f2fs/f2fs.h`).

use super::ondisk::SuperBlock;

/// Returns the checksum of `bytes`.
pub fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(SuperBlock::MAGIC, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| match crc & 1 {
            0 => crc >> 1,
            _ => crc >> 1 ^ 0xedb8_8320,
        })
    })
}
