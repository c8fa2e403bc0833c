//! Partition schemes: the definition of each `partitionTableType`, as data.
//!
//! The data is in `table`. `nix/partition-tables.nix` repeats what the Nix code needs, and a test
//! compares the two.

mod table;
#[cfg(test)]
mod tests;

use uuid::Uuid;

/// Sectors in a MiB.
pub(crate) const MIB: u64 = 2048;

/// nixpkgs' `partitionTableType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionTable {
    /// No table: the disk is the root file system.
    None,
    /// MBR, one partition.
    Legacy,
    /// MBR, a FAT boot partition and root.
    LegacyBoot,
    /// GPT, a BIOS boot partition and root.
    LegacyGpt,
    /// GPT, an ESP and root.
    Efi,
    /// GPT, an ESP, an XBOOTLDR partition and root.
    EfiXbootldr,
    /// GPT, an ESP, a BIOS boot partition and root.
    Hybrid,
}

/// A partition scheme: how a disk is divided.
#[derive(Debug, PartialEq, Eq)]
pub struct Scheme {
    /// The value of `partitionTableType`.
    pub name: &'static str,
    /// The kind of partition table.
    pub kind: TableKind,
    /// Whether a BIOS can boot the disk.
    pub bios: bool,
    /// Whether `touchEFIVars` may be set. nixpkgs allows it for `legacy+gpt`, which has no ESP.
    pub efi_variables: bool,
    /// The partitions in the order of their numbers, which may differ from the order on disk.
    /// Without a table, there is one partition: the whole disk.
    pub(crate) partitions: &'static [Partition],
}

/// Kinds of partition tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// No table.
    None,
    /// Master boot record.
    Mbr,
    /// GUID partition table.
    Gpt,
}

/// A partition of a [`Scheme`].
#[derive(Debug, PartialEq, Eq)]
pub struct Partition {
    /// The purpose of the partition.
    pub role: Role,
    /// Its first sector.
    pub(crate) first: First,
    /// Its last sector.
    pub(crate) last: Last,
    /// Its entry in the table, except for the sectors.
    pub entry: Entry,
    /// Which of the disk's GUIDs it has. Its FAT volume ID is derived from the same GUID, with an
    /// MBR as well.
    pub guid: PartitionGuid,
    /// The contents of the partition.
    pub(crate) contents: Contents,
}

/// The purpose of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The root file system.
    Root,
    /// EFI system partition.
    Esp,
    /// Extended boot loader partition (Boot Loader Specification).
    Xbootldr,
    /// Another partition that is mounted at `/boot`.
    Boot,
    /// GRUB's core image.
    BiosBoot,
}

/// The first sector of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// This sector.
    Sector(u64),
    /// The end of the boot partition, at `bootSize`.
    BootEnd,
}

/// The last sector of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// This sector.
    Sector(u64),
    /// The last sector before `bootSize`.
    BootEnd,
    /// The sector that `parted` chooses for `100%`, near the end of the disk.
    DiskEnd,
}

/// The entry of a partition in the table, except for the sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// No table.
    None,
    /// An MBR entry.
    Mbr {
        /// The system byte: 0x83 Linux, 0x0c FAT32 with LBA.
        system: u8,
        /// Whether a BIOS boots it.
        active: bool,
    },
    /// A GPT entry. All attribute flags are clear: on a GPT, parted's `boot` sets the type of the
    /// ESP, not the flag "legacy BIOS bootable".
    Gpt {
        /// The partition type.
        kind: Uuid,
        /// The partition's name.
        name: &'static str,
    },
}

/// Which of a disk's GUIDs a partition has. nixpkgs has constants for the first and the second
/// partition and an argument for the root partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionGuid {
    /// The GUID of the first partition.
    First,
    /// The GUID of the second partition.
    Second,
    /// `rootGPUID`.
    Root,
}

/// The contents of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// The root file system.
    Root,
    /// A FAT file system for boot loaders.
    Fat(Fat),
    /// Boot code without a file system.
    BootCode,
}

/// A FAT file system of a [`Scheme`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fat {
    /// The volume label.
    pub label: &'static str,
    /// The absolute path where it is mounted while a boot loader is installed.
    pub mount_point: &'static str,
}

impl PartitionTable {
    /// All types.
    pub const ALL: [PartitionTable; 7] = [
        PartitionTable::None,
        PartitionTable::Legacy,
        PartitionTable::LegacyBoot,
        PartitionTable::LegacyGpt,
        PartitionTable::Efi,
        PartitionTable::EfiXbootldr,
        PartitionTable::Hybrid,
    ];

    /// Returns its scheme.
    pub fn scheme(self) -> &'static Scheme {
        match self {
            PartitionTable::None => &table::NONE,
            PartitionTable::Legacy => &table::LEGACY,
            PartitionTable::LegacyBoot => &table::LEGACY_BOOT,
            PartitionTable::LegacyGpt => &table::LEGACY_GPT,
            PartitionTable::Efi => &table::EFI,
            PartitionTable::EfiXbootldr => &table::EFI_XBOOTLDR,
            PartitionTable::Hybrid => &table::HYBRID,
        }
    }

    /// Returns its name in `partitionTableType`.
    pub fn name(self) -> &'static str {
        self.scheme().name
    }

    /// Returns whether its partitions have GUIDs.
    pub fn is_gpt(self) -> bool {
        self.scheme().kind == TableKind::Gpt
    }

    /// Returns the quoted names of the types that `wanted` selects, for a message:
    /// `"a", "b" or "c"`.
    pub(crate) fn names(wanted: impl Fn(&Scheme) -> bool) -> String {
        let schemes = Self::ALL.into_iter().map(Self::scheme);
        let mut names: Vec<_> = schemes
            .filter(|scheme| wanted(scheme))
            .map(|scheme| format!("\"{}\"", scheme.name))
            .collect();
        match (names.pop(), names.is_empty()) {
            (Some(last), false) => format!("{} or {last}", names.join(", ")),
            (last, _) => last.unwrap_or_default(),
        }
    }
}

impl Scheme {
    /// Returns the first sector of the boot partition that ends at `bootSize`, or `None` if
    /// `bootSize` has no effect.
    pub fn boot_begin(&self) -> Option<u64> {
        let mut partitions = self.partitions.iter();
        partitions.find_map(|partition| match (partition.first, partition.last) {
            (First::Sector(first), Last::BootEnd) => Some(first),
            _ => None,
        })
    }

    /// Returns the partitions with a FAT file system, in the order in which they must be mounted.
    pub fn fat_partitions(&self) -> Vec<(&'static Partition, Fat)> {
        let partitions = self.partitions.iter();
        let mut found: Vec<_> = partitions
            .filter_map(|partition| Some((partition, partition.fat()?)))
            .collect();
        found.sort_by_key(|(_, fat)| fat.mount_point);
        found
    }
}

impl Partition {
    /// Returns its FAT file system, if it has one.
    pub(crate) fn fat(&self) -> Option<Fat> {
        match self.contents {
            Contents::Fat(fat) => Some(fat),
            Contents::Root | Contents::BootCode => None,
        }
    }
}

impl Role {
    /// Returns a short name for users.
    pub fn name(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::Esp => "ESP",
            Role::Xbootldr => "XBOOTLDR",
            Role::Boot => "boot",
            Role::BiosBoot => "BIOS boot",
        }
    }

    /// Returns the name of a partition with this role.
    pub(crate) fn partition_name(self) -> &'static str {
        match self {
            Role::Root => "root partition",
            Role::Esp => "ESP",
            Role::Xbootldr => "XBOOTLDR partition",
            Role::Boot => "boot partition",
            Role::BiosBoot => "BIOS boot partition",
        }
    }
}
