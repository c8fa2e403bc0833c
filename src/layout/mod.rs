//! Partition tables: from [`PartitionTable`](crate::spec::PartitionTable) and sizes to partitions
//! and the bytes of the table.

/// Bytes in a sector, everywhere here.
pub const SECTOR: u64 = 512;

/// One MiB.
pub const MEBIBYTE: u64 = 1 << 20;

/// A disk divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Length of the disk in bytes.
    pub disk_length: u64,
    /// The partitions in the order of their numbers, which need not be that on disk. Without a
    /// table: one, number 0, the whole disk.
    pub partitions: Vec<Partition>,
    /// The bytes of the table: (first byte on disk, bytes).
    pub table: Vec<(u64, Vec<u8>)>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// What it is for.
    pub role: Role,
    /// First sector.
    pub first_sector: u64,
    /// Last sector.
    pub last_sector: u64,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The root file system.
    Root,
    /// EFI system partition, label ESP.
    Esp,
    /// FAT boot partition, label BOOT: XBOOTLDR on GPT, plain FAT on MBR.
    Boot,
    /// GRUB's core image.
    BiosBoot,
}

impl Partition {
    /// First byte.
    pub fn start(&self) -> u64 {
        self.first_sector * SECTOR
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        (self.last_sector + 1 - self.first_sector) * SECTOR
    }
}
