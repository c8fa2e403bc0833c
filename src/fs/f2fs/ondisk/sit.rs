//! The segment information table (SIT).

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// Number of entries in a block.
pub const SIT_ENTRIES: usize = 55;

/// `struct f2fs_sit_entry`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct SitEntry {
    /// The number of valid blocks, and from bit 10 on the type of the segment.
    pub vblocks: U16,
    /// The valid blocks; the first one is the highest bit of the first byte.
    pub valid_map: [u8; 64],
    pub mtime: U64,
}

/// `struct f2fs_sit_block`, padded to a whole block.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct SitBlock {
    pub entries: [SitEntry; SIT_ENTRIES],
    pub padding: [u8; 26],
}

const _: () = assert!(size_of::<SitBlock>() == 4096);
