//! Partition schemes: what each `partitionTableType` is, as data.
//!
//! All of it is in `table`. What the Nix code needs to know is in `nix/partition-tables.nix`, too, and
//! a test compares the two.

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

/// How a disk is divided.
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
    /// The partitions in the order of their numbers, which need not be that on disk. Without a
    /// table: one, the whole disk.
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
    /// What it is for.
    pub role: Role,
    /// Its first sector.
    pub(crate) first: First,
    /// Its last sector.
    pub(crate) last: Last,
    /// What the table says about it, apart from the sectors.
    pub entry: Entry,
    /// Which of the disk's GUIDs is its own. Its FAT volume ID is derived from the same GUID, in an
    /// MBR, too.
    pub guid: PartitionGuid,
    /// What is in it.
    pub(crate) contents: Contents,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The root file system.
    Root,
    /// EFI system partition.
    Esp,
    /// Extended boot loader partition (Boot Loader Specification).
    Xbootldr,
    /// Any other partition that is mounted at `/boot`.
    Boot,
    /// GRUB's core image.
    BiosBoot,
}

/// Where a partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// At this sector.
    Sector(u64),
    /// Where the boot partition ends: at `bootSize`.
    BootEnd,
}

/// Where a partition ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// With this sector.
    Sector(u64),
    /// With the last sector before `bootSize`.
    BootEnd,
    /// As close to the end of the disk as `parted` puts it for `100%`.
    DiskEnd,
}

/// What a table says about a partition, apart from the sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// There is no table.
    None,
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
        /// The partition's name.
        name: &'static str,
    },
}

/// Which of a disk's GUIDs a partition has. nixpkgs has constants for the first and the second
/// partition, and an argument for the root partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionGuid {
    /// That of the first partition.
    First,
    /// That of the second partition.
    Second,
    /// `rootGPUID`.
    Root,
}

/// What is in a partition.
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
    /// Where it is mounted while a boot loader is installed: an absolute path.
    pub mount_point: &'static str,
}

impl PartitionTable {
    /// All of them.
    pub const ALL: [PartitionTable; 7] = [
        PartitionTable::None,
        PartitionTable::Legacy,
        PartitionTable::LegacyBoot,
        PartitionTable::LegacyGpt,
        PartitionTable::Efi,
        PartitionTable::EfiXbootldr,
        PartitionTable::Hybrid,
    ];

    /// How it divides a disk.
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

    /// The caller's word for it.
    pub fn name(self) -> &'static str {
        self.scheme().name
    }

    /// Whether its partitions have GUIDs.
    pub fn is_gpt(self) -> bool {
        self.scheme().kind == TableKind::Gpt
    }

    /// The names of those that `wanted` picks, quoted, for a message: `"a", "b" or "c"`.
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
    /// Where the boot partition that ends at `bootSize` begins, in sectors; `None` if `bootSize` has
    /// no effect.
    pub fn boot_begin(&self) -> Option<u64> {
        let mut partitions = self.partitions.iter();
        partitions.find_map(|partition| match (partition.first, partition.last) {
            (First::Sector(first), Last::BootEnd) => Some(first),
            _ => None,
        })
    }

    /// The partitions with a FAT file system, in an order in which they can be mounted.
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
    /// Its FAT file system, if it has one.
    pub(crate) fn fat(&self) -> Option<Fat> {
        match self.contents {
            Contents::Fat(fat) => Some(fat),
            Contents::Root | Contents::BootCode => None,
        }
    }
}

impl Role {
    /// A word for people.
    pub fn name(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::Esp => "ESP",
            Role::Xbootldr => "XBOOTLDR",
            Role::Boot => "boot",
            Role::BiosBoot => "BIOS boot",
        }
    }

    /// What a partition with this role is called.
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
