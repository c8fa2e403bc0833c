//! The log of a file system that was unmounted: one record at its beginning, as `mkfs.xfs` writes it
//! (xfsprogs, `libxfs_log_clear`). The rest of the log is zeros.

use zerocopy::FromZeros;
use zerocopy::big_endian::{U32, U64};

use super::ondisk::{LogHeader, LogUnmount, SECTOR_SIZE, put};
use crate::fs::number::index;

/// Returns the record.
pub fn record(uuid: &[u8; 16]) -> Vec<u8> {
    let sector = index(SECTOR_SIZE);
    let first = U64::new(1 << 32);
    let mut header = LogHeader {
        h_magicno: LogHeader::MAGIC,
        h_cycle: U32::new(1),
        h_version: U32::new(2),
        h_len: U32::new(512),
        h_lsn: first,
        h_tail_lsn: first,
        h_prev_block: U32::new(u32::MAX),
        h_num_logops: U32::new(1),
        h_fmt: U32::new(1),
        h_fs_uuid: *uuid,
        h_size: U32::new(32_768),
        ..LogHeader::new_zeroed()
    };
    // The ID of the operation: an arbitrary one, which is the same in all file systems.
    header.h_cycle_data[0] = U32::new(0xb0c0_d0d0);
    let operation = LogUnmount {
        oh_tid: U32::new(1),
        oh_len: U32::new(8),
        oh_clientid: 0xaa,
        oh_flags: 0x20,
        magic: *b"nU",
        ..LogUnmount::new_zeroed()
    };
    let mut bytes = vec![0; 2 * sector];
    put(&mut bytes, 0, &header);
    put(&mut bytes, sector, &operation);
    bytes
}
