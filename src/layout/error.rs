//! Why a disk can't be divided.

use crate::scheme::{PartitionTable, TableKind};

/// Why a disk can't be divided as asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The boot partition would end where it begins, or before that.
    #[error(
        "partitionTableType \"{}\": the boot partition begins at {begin} MiB and bootSize makes \
         it end at {end} MiB: set bootSize to at least \"{begin}M\"",
        table.name()
    )]
    BootSize {
        /// The type.
        table: PartitionTable,
        /// Where the last boot partition begins, in MiB.
        begin: u64,
        /// Where it would end, in MiB.
        end: u64,
    },
    /// The disk ends before the root partition begins, or at once after that.
    #[error(
        "partitionTableType \"{}\": a disk of {disk} MiB has no room for a root partition after \
         the table and the partitions before it: set diskSize to at least {smallest}, or to \"auto\"",
        table.name()
    )]
    NoRoom {
        /// The type.
        table: PartitionTable,
        /// Length of the disk in MiB.
        disk: u64,
        /// Length in MiB of the smallest disk that has a root partition.
        smallest: u64,
    },
    /// A partition is longer than an MBR can say.
    #[error(
        "partitionTableType \"{}\": a partition of {sectors} sectors is more than the 4294967295 \
         that an MBR can hold (2 TiB): use a type with a GPT ({}) or a smaller disk",
        table.name(),
        PartitionTable::names(|scheme| scheme.kind == TableKind::Gpt)
    )]
    MbrTooLarge {
        /// The type.
        table: PartitionTable,
        /// Length of the partition in sectors.
        sectors: u64,
    },
    /// A length that is no multiple of 1 MiB.
    #[error("{what} is {bytes} bytes, which is not a whole number of MiB")]
    NotWholeMebibytes {
        /// Which length.
        what: &'static str,
        /// The length in bytes.
        bytes: u64,
    },
    /// More bytes than a file can have.
    #[error("a disk that holds {0} bytes is larger than any file can be (8 EiB)")]
    TooLarge(u64),
    /// There is boot code at the start of a disk without a partition table.
    #[error(
        "the boot loader's installer wrote boot code to the first {length} bytes of a disk without a \
         partition table: it goes on in blocks of the root file system, and those move: set \
         partitionTableType to \"legacy\", which has room for boot code, or installBootLoader = false"
    )]
    UnpartitionedBootCode {
        /// Bytes there are for boot code.
        length: u64,
    },
    /// A library refused to write the table.
    #[error("writing the partition table failed: {0}")]
    Table(String),
}
