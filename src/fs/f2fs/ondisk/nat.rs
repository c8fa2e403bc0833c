//! The node address table (NAT).

use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// Number of entries in a block.
pub const NAT_ENTRIES: usize = 455;

/// `struct f2fs_nat_entry`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub struct NatEntry {
    pub version: u8,
    /// The number of the inode that the node belongs to.
    pub ino: U32,
    /// The address of the node.
    pub block_addr: U32,
}

/// `struct f2fs_nat_block`, padded to a whole block.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct NatBlock {
    pub entries: [NatEntry; NAT_ENTRIES],
    pub padding: u8,
}

const _: () = assert!(size_of::<NatBlock>() == 4096);
