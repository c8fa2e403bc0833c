//! Summaries: which node each block of a segment belongs to.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct f2fs_summary`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub struct Summary {
    /// The number of the node itself, or of the node that has the address of the data.
    pub nid: U32,
    pub version: u8,
    /// The index of that address.
    pub ofs_in_node: U16,
}

/// `struct f2fs_summary_block`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct SummaryBlock {
    pub entries: [Summary; 512],
    pub journal: [u8; 507],
    /// 1 for nodes, 0 for data.
    pub entry_type: u8,
    pub check_sum: U32,
}

const _: () = assert!(size_of::<SummaryBlock>() == 4096);
