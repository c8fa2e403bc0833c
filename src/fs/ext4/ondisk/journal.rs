//! The journal's superblock (kernel, Documentation/filesystems/ext4/journal.rst,
//! `include/linux/jbd2.h`). Fields are big-endian.

use zerocopy::big_endian::U32;
use zerocopy::{FromZeros, Immutable, IntoBytes, Unaligned};

/// `journal_superblock_t`, with its `journal_header_t`.
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct JournalSuperblock {
    /// [`JournalSuperblock::MAGIC`].
    pub h_magic: U32,
    /// [`JournalSuperblock::BLOCKTYPE_V2`].
    pub h_blocktype: U32,
    pub h_sequence: U32,
    /// Size of a block in bytes.
    pub s_blocksize: U32,
    /// Number of blocks in the journal.
    pub s_maxlen: U32,
    /// First block of the log.
    pub s_first: U32,
    /// Number of the first transaction.
    pub s_sequence: U32,
    /// Where the log begins; 0 if it is empty.
    pub s_start: U32,
    pub s_errno: U32,
    pub s_feature_compat: U32,
    pub s_feature_incompat: U32,
    pub s_feature_ro_compat: U32,
    /// The file system's UUID.
    pub s_uuid: [u8; 16],
    /// Number of file systems that use the journal.
    pub s_nr_users: U32,
    pub s_dynsuper: U32,
    pub s_max_transaction: U32,
    pub s_max_trans_data: U32,
    pub s_checksum_type: u8,
    pub s_padding2: [u8; 3],
    pub s_num_fc_blks: U32,
    pub s_head: U32,
    pub s_padding: [U32; 40],
    pub s_checksum: U32,
    pub s_users: [u8; 16 * 48],
}

const _: () = assert!(size_of::<JournalSuperblock>() == 1024);

impl JournalSuperblock {
    /// `JBD2_MAGIC_NUMBER`.
    pub const MAGIC: U32 = U32::new(0xc03b_3998);
    /// `JBD2_SUPERBLOCK_V2`.
    pub const BLOCKTYPE_V2: U32 = U32::new(4);
}
