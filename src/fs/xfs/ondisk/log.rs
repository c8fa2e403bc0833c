//! The record in an unused log (kernel, `fs/xfs/libxfs/xfs_log_format.h`).

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `struct xlog_rec_header`: the first sector of a record.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct LogHeader {
    /// [`LogHeader::MAGIC`].
    pub h_magicno: U32,
    /// How often the log has been filled, from 1.
    pub h_cycle: U32,
    /// 2.
    pub h_version: U32,
    /// Bytes after the header.
    pub h_len: U32,
    /// Cycle and sector of this record, and of the oldest that is needed.
    pub h_lsn: U64,
    pub h_tail_lsn: U64,
    pub h_crc: U32,
    /// The sector of the record before, or -1.
    pub h_prev_block: U32,
    /// Number of operations.
    pub h_num_logops: U32,
    /// The first word of each following sector, which holds the cycle instead.
    pub h_cycle_data: [U32; 64],
    /// 1: the format of Linux for little-endian processors.
    pub h_fmt: U32,
    pub h_fs_uuid: [u8; 16],
    /// Size of the buffers in bytes.
    pub h_size: U32,
}

impl LogHeader {
    /// `XLOG_HEADER_MAGIC_NUM`.
    pub const MAGIC: U32 = U32::new(0xfeed_babe);
}

/// The second sector: `struct xlog_op_header` and `struct xfs_unmount_log_format`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct LogUnmount {
    /// The cycle instead of `oh_tid`.
    pub oh_tid: U32,
    /// Length of the data.
    pub oh_len: U32,
    /// `XFS_LOG`.
    pub oh_clientid: u8,
    /// `XLOG_UNMOUNT_TRANS`.
    pub oh_flags: u8,
    pub oh_res2: U16,
    /// `XLOG_UNMOUNT_TYPE`, in the order of a little-endian processor.
    pub magic: [u8; 2],
    pub pad: [u8; 6],
}

const _: () = assert!(size_of::<LogHeader>() == 324);
const _: () = assert!(size_of::<LogUnmount>() == 20);
