//! Where partitions are, and the bytes of partition tables.
//!
//! [`place()`] is arithmetic: from a [`PartitionTable`] and lengths to sectors. [`table_bytes`] makes the
//! table when all is known, the identity too. Both give what nixpkgs' `make-disk-image.nix` gets from
//! `parted` and `sgdisk`, byte for byte, and tests compare them. `docs/differences.md` lists what
//! differs on purpose.

mod areas;
mod describe;
mod divide;
mod error;
mod gpt;
mod mbr;
mod place;
mod size;

#[cfg(test)]
pub(crate) use areas::AreaKind;
pub(crate) use areas::{Area, BootCode};
pub use areas::{areas, check_boot_code, with_boot_code};
pub(crate) use describe::Description;
pub use error::Error;
pub use place::place;
pub(crate) use size::{automatic_disk_length, shortest_disk_length};

use crate::scheme::{self, PartitionTable, Role, TableKind};
use crate::spec::Identity;

/// Bytes in a sector, everywhere here.
pub(crate) const SECTOR: u64 = 512;

/// One MiB.
pub const MEBIBYTE: u64 = 1 << 20;

/// Bytes of a block of the root file system: its length, and the place of all data in it, are
/// multiples of this.
pub(crate) const BLOCK: u64 = 4096;

/// A disk divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Length of the disk in bytes.
    pub disk_length: u64,
    /// How it is divided.
    pub(crate) table: PartitionTable,
    /// The partitions in the order of their numbers, which need not be that on disk. Without a
    /// table: one, number 0, the whole disk.
    pub partitions: Vec<Partition>,
}

/// A partition that has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// First sector.
    pub first_sector: u64,
    /// Last sector.
    pub last_sector: u64,
    /// What it is.
    pub scheme: &'static scheme::Partition,
}

/// The bytes of the partition table: (first byte on disk, bytes), the table itself first and its
/// backup after it. Nothing without a table.
///
/// The MBR's disk signature is the first group of `identity.disk`, stored as all numbers of an MBR
/// are, the low byte first: the disk with the GUID `97FD5997-…` is `0x97fd5997` to `sfdisk`, and its
/// first partition has the PARTUUID `97fd5997-01`.
///
/// # Errors
/// If the table cannot be written.
pub fn table_bytes(layout: &Layout, identity: &Identity) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    match layout.table.scheme().kind {
        TableKind::None => Ok(Vec::new()),
        TableKind::Mbr => mbr::bytes(layout, identity),
        TableKind::Gpt => gpt::bytes(layout, identity),
    }
}

impl Partition {
    /// What it is for.
    pub fn role(&self) -> Role {
        self.scheme.role
    }

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
    /// The first partition with this role.
    pub(crate) fn partition(&self, role: Role) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.role() == role)
    }

    /// The partition with the root file system.
    pub fn root(&self) -> Option<&Partition> {
        self.partition(Role::Root)
    }

    /// The length in bytes of the root file system: the whole blocks of the root partition. On a
    /// GPT disk of 200 MiB or less, the partition has some sectors more.
    pub(crate) fn root_length(&self) -> u64 {
        self.root().map_or(0, |root| root.length() / BLOCK * BLOCK)
    }

    /// A table for people, one line for each partition.
    pub fn describe<'a>(&'a self, identity: &'a Identity) -> Description<'a> {
        Description {
            layout: self,
            identity,
        }
    }
}
