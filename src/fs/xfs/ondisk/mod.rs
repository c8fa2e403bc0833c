//! On-disk structures, with the kernel's names of structures and fields (`fs/xfs/libxfs/xfs_format.h`
//! and `xfs_da_format.h`). Numbers are big-endian, except checksums. Fields that are never set have no
//! comment.

use std::fmt::Display;

use zerocopy::big_endian::{U16, U32};
use zerocopy::little_endian;
use zerocopy::{Immutable, IntoBytes};

mod ag;
mod attribute;
mod block;
mod btree;
mod directory;
mod inode;
mod log;
mod superblock;

pub use ag::{Agf, Agfl, Agi};
pub use attribute::{AttrLeafHeader, AttrRemoteHeader, LeafEntry, attr_flags};
pub use block::{BlkInfo, NodeHeader};
pub use btree::{BmbtBlockHeader, BmbtRecord, RmapRecord, SHORT_HEADER, ShortBlockHeader};
pub use directory::{DataHeader, DirLeafEntry, DirLeafHeader, FreeHeader, file_type};
pub use inode::{Dinode, di_flags, di_flags2, di_format, i_mode};
pub use log::{LogHeader, LogUnmount};
pub use superblock::Dsb;

use crate::fs::number::{TooWide, le16, le32};

/// A block.
pub type Block = [u8; 4096];

/// Size of a block in bytes.
pub const BLOCK_SIZE: u64 = size_of::<Block>() as u64;

/// Size of a sector, the unit of addresses in block headers, in bytes.
pub const SECTOR_SIZE: u64 = 512;

/// Sectors in a block.
pub const SECTORS: u64 = BLOCK_SIZE / SECTOR_SIZE;

/// Writes `value` to `buffer` at the byte `at`.
pub fn put(buffer: &mut [u8], at: usize, value: &(impl IntoBytes + Immutable + ?Sized)) {
    buffer[at..at + size_of_val(value)].copy_from_slice(value.as_bytes());
}

/// Sets the checksum in `bytes`: the CRC-32C of all of them, in which the field itself, at `at`, is 0.
pub fn seal(bytes: &mut [u8], at: usize) {
    put(bytes, at, &[0u8; 4]);
    let checksum = little_endian::U32::new(crc32c::crc32c(bytes));
    put(bytes, at, &checksum);
}

/// Converts `value` to a field of 16 bits.
///
/// # Errors
/// If `value` does not fit.
pub fn be16(value: impl TryInto<u16> + Copy + Display) -> Result<U16, TooWide> {
    Ok(U16::new(le16(value)?.get()))
}

/// Converts `value` to a field of 32 bits.
///
/// # Errors
/// If `value` does not fit.
pub fn be32(value: impl TryInto<u32> + Copy + Display) -> Result<U32, TooWide> {
    Ok(U32::new(le32(value)?.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_covers_everything_with_its_own_field_zero() {
        let mut bytes = *b"1234xxxx56789";
        seal(&mut bytes, 4);
        let expected = crc32c::crc32c(b"1234\0\0\0\x0056789");
        assert_eq!(bytes[4..8], expected.to_le_bytes());
        // A second time, the result is the same.
        let again = bytes;
        seal(&mut bytes, 4);
        assert_eq!(bytes, again);
    }
}
