//! The positions of partitions, and the bytes of partition tables.
//!
//! [`place()`] computes sectors from a [`PartitionTable`] and lengths. [`table_bytes`] creates the
//! table from the layout and the identity. The results equal those of `parted` and `sgdisk` in
//! nixpkgs' `make-disk-image.nix` byte for byte; tests compare them. `docs/differences.md` lists
//! the intended differences.

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

/// The size of a sector in bytes.
pub(crate) const SECTOR: u64 = 512;

/// One MiB.
pub const MEBIBYTE: u64 = 1 << 20;

/// The size of a block of the root file system in bytes. Its length and the offsets of all data in
/// it are multiples of this.
pub(crate) const BLOCK: u64 = 4096;

/// A disk that is divided into partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Length of the disk in bytes.
    pub disk_length: u64,
    /// The partition table.
    pub(crate) table: PartitionTable,
    /// The partitions in the order of their numbers, which may differ from the order on disk.
    /// Without a table, there is one partition with the number 0: the whole disk.
    pub partitions: Vec<Partition>,
}

/// A partition with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// First sector.
    pub first_sector: u64,
    /// Last sector.
    pub last_sector: u64,
    /// Its definition in the scheme.
    pub scheme: &'static scheme::Partition,
}

/// Returns the bytes of the partition table as (offset on disk, bytes): the table itself, then its
/// backup. Without a table, the result is empty.
///
/// The MBR's disk signature is the first group of `identity.disk`, stored in little-endian order
/// like all numbers in an MBR. `sfdisk` shows the disk with the GUID `97FD5997-…` as `0x97fd5997`,
/// and its first partition has the PARTUUID `97fd5997-01`.
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
    /// Returns its role.
    pub fn role(&self) -> Role {
        self.scheme.role
    }

    /// Returns the offset on disk in bytes.
    pub fn start(&self) -> u64 {
        self.first_sector * SECTOR
    }

    /// Returns the length in bytes.
    pub fn length(&self) -> u64 {
        (self.last_sector + 1 - self.first_sector) * SECTOR
    }
}

impl Layout {
    /// Returns the first partition with this role.
    pub(crate) fn partition(&self, role: Role) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.role() == role)
    }

    /// Returns the partition with the root file system.
    pub fn root(&self) -> Option<&Partition> {
        self.partition(Role::Root)
    }

    /// Returns the length of the root file system in bytes: the whole blocks of the root partition.
    /// On a GPT disk of 200 MiB or less, the partition has some additional sectors.
    pub(crate) fn root_length(&self) -> u64 {
        self.root().map_or(0, |root| root.length() / BLOCK * BLOCK)
    }

    /// Returns a readable table with one line per partition.
    pub fn describe<'a>(&'a self, identity: &'a Identity) -> Description<'a> {
        Description {
            layout: self,
            identity,
        }
    }
}
