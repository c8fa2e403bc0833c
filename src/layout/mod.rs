//! Partition tables: from [`PartitionTable`] and sizes to partitions and the bytes of the table.
//!
//! The partitions are those that nixpkgs' `make-disk-image.nix` gets from `parted` and `sgdisk`,
//! sector for sector; `tests/library/layout.rs` compares them. `docs/differences.md` lists what differs on
//! purpose.

mod areas;
mod describe;
mod error;
mod gpt;
mod mbr;
mod plan;
mod size;

use uuid::Uuid;

pub use areas::{Area, AreaKind, BootCode, areas, check_boot_code, with_boot_code};
pub use error::Error;
pub use plan::plan;
pub use size::{minimal_disk_length, smallest_disk_length};

use crate::scheme::PartitionTable;

/// Bytes in a sector, everywhere here.
pub const SECTOR: u64 = 512;

/// One MiB.
pub const MEBIBYTE: u64 = 1 << 20;

/// Bytes of a block of the root file system.
pub const BLOCK: u64 = 4096;

/// A disk divided. Its `Display` is a table for people, one line for each partition.
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
    /// What the table says of it.
    pub entry: Entry,
}

/// What a partition's entry in the table says, apart from the sectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// There is no table.
    Whole,
    /// An MBR entry.
    Mbr {
        /// The system byte: 0x83 Linux, 0x0c FAT32 with LBA.
        system: u8,
        /// Whether a BIOS boots it.
        active: bool,
    },
    /// A GPT entry. The attribute flags are all clear: parted's `boot` is the ESP's type on GPT,
    /// and not the bit "legacy BIOS bootable".
    Gpt {
        /// The type.
        kind: Uuid,
        /// The partition's own GUID.
        guid: Uuid,
        /// The partition's name.
        name: &'static str,
    },
}

/// The boot partitions of each layout and where nixpkgs mounts them.
pub fn mount_points(table: PartitionTable) -> &'static [(Role, &'static str)] {
    match table {
        PartitionTable::None | PartitionTable::Legacy | PartitionTable::LegacyGpt => &[],
        PartitionTable::LegacyBoot => &[(Role::Boot, "/boot")],
        PartitionTable::Efi | PartitionTable::Hybrid => &[(Role::Esp, "/boot")],
        PartitionTable::EfiXbootldr => &[(Role::Boot, "/boot"), (Role::Esp, "/efi")],
    }
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

impl Role {
    /// A word for people.
    pub fn name(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::Esp => "ESP",
            Role::Boot => "boot",
            Role::BiosBoot => "BIOS boot",
        }
    }
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

impl Layout {
    /// The partition with the root file system.
    pub fn root(&self) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.role == Role::Root)
    }

    /// The length in bytes of the root file system: the whole blocks of the root partition. On a
    /// GPT disk of 200 MiB or less, the partition has some sectors more.
    pub fn root_length(&self) -> u64 {
        self.root().map_or(0, |root| root.length() / BLOCK * BLOCK)
    }
}
