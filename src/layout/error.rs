//! Why a disk cannot be divided.

use crate::scheme::{PartitionTable, TableKind};

/// Why a disk cannot be divided as requested.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The boot partition would end at or before its start.
    #[error(
        "partitionTableType \"{}\": the boot partition begins at {begin} MiB, but bootSize makes \
         it end at {end} MiB; set bootSize to at least \"{begin}M\"",
        table.name()
    )]
    BootSize {
        /// The type.
        table: PartitionTable,
        /// The start of the last boot partition, in MiB.
        begin: u64,
        /// The end that it would have, in MiB.
        end: u64,
    },
    /// The disk is too small for a root partition.
    #[error(
        "partitionTableType \"{}\": a disk of {disk} MiB has no room for a root partition after \
         the table and the other partitions; set diskSize to at least {smallest} or to \"auto\"",
        table.name()
    )]
    NoRoom {
        /// The type.
        table: PartitionTable,
        /// Length of the disk in MiB.
        disk: u64,
        /// Length in MiB of the smallest disk with room for a root partition.
        smallest: u64,
    },
    /// A partition is too large for an MBR.
    #[error(
        "partitionTableType \"{}\": a partition of {sectors} sectors exceeds an MBR's limit of \
         4294967295 sectors (2 TiB); use a type with a GPT ({}) or a smaller disk",
        table.name(),
        PartitionTable::names(|scheme| scheme.kind == TableKind::Gpt)
    )]
    MbrTooLarge {
        /// The type.
        table: PartitionTable,
        /// Length of the partition in sectors.
        sectors: u64,
    },
    /// A size that is not a multiple of 1 MiB.
    #[error("{quantity} is {bytes} bytes, which is not a whole number of MiB")]
    NotWholeMebibytes {
        /// The name of the quantity.
        quantity: &'static str,
        /// The size in bytes.
        bytes: u64,
    },
    /// A size beyond the maximum size of a file.
    #[error("a disk for {0} bytes would exceed the maximum size of a file (8 EiB)")]
    TooLarge(u64),
    /// A disk without a partition table has boot code at its start.
    #[error(
        "the boot loader's installer wrote boot code to the first {length} bytes of a disk without a \
         partition table; this code depends on blocks of the root file system, which are moved: set \
         partitionTableType to \"legacy\", which has room for boot code, or installBootLoader = false"
    )]
    UnpartitionedBootCode {
        /// The size of the area for boot code, in bytes.
        length: u64,
    },
    /// A library failed to write the table.
    #[error("writing the partition table failed: {0}")]
    Table(String),
}
