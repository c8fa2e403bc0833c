//! The index of compressed data.

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `struct z_erofs_map_header`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MapHeader {
    pub h_reserved1: U16,
    /// Length of the compressed data that follows the index.
    pub h_idata_size: U16,
    /// Bits of [`advise`].
    pub h_advise: U16,
    /// A number of [`super::algorithm`].
    pub h_algorithmtype: u8,
    /// A logical cluster is 2^this blocks.
    pub h_clusterbits: u8,
}

/// Bits of [`MapHeader::h_advise`].
pub mod advise {
    /// As many entries as possible take 2 bytes instead of 4.
    pub const COMPACTED_2B: u16 = 0x1;
    /// Compressed extents may take several blocks. Both bits must be set in a compact index.
    pub const BIG_PCLUSTER: u16 = 0x2 | 0x4;
    /// The last extent follows the index.
    pub const INLINE_PCLUSTER: u16 = 0x8;
}

/// `Z_EROFS_LCLUSTER_TYPE_*`: types of entries in the index, which has one for each block of the
/// file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ClusterType {
    /// An extent that is not compressed begins in this block.
    Plain = 0,
    /// A compressed extent begins in this block.
    Head = 1,
    /// The block continues an extent.
    NonHead = 2,
}

impl ClusterType {
    /// The value on disk.
    pub fn bits(self) -> u32 {
        match self {
            ClusterType::Plain => 0,
            ClusterType::Head => 1,
            ClusterType::NonHead => 2,
        }
    }
}
