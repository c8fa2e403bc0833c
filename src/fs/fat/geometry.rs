//! The geometry of a FAT file system: sizes from the boot sector, and the position of each part.

use anyhow::{Context as _, bail};
use zerocopy::little_endian::{U16, U32};

use super::entry::SLOT;
use super::ondisk::BootSector;
use crate::layout::SECTOR;

/// The minimum numbers of clusters with which readers treat a file system as FAT16 and as FAT32
/// (Microsoft FAT specification, "FAT Type Determination").
const FAT16_CLUSTERS: u64 = 4085;
const FAT32_CLUSTERS: u64 = 65_525;

/// The length in bytes of the smallest volume on which `mkfs.fat -F 32` makes enough clusters. Up
/// to 260 MiB, it makes clusters of one sector. 32 reserved sectors and two tables of 512 sectors
/// come before them. Only whole tracks count.
pub(super) const SMALLEST_FAT32: u64 =
    (32 + 2 * 512 + FAT32_CLUSTERS).next_multiple_of(TRACK) * SECTOR;

/// Sectors per track. Tracks do not exist any more, but the boot sector has a field for their
/// length.
pub(super) const TRACK: u64 = 32;

/// The number of the first cluster.
pub(super) const FIRST: u64 = 2;

/// The width of the entries in the allocation table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// The sizes in a FAT file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub width: Width,
    /// The media descriptor, which is also the first byte of the allocation table.
    pub media: u8,
    /// Bytes before the allocation tables.
    pub reserved: u64,
    /// Length of an allocation table in bytes.
    pub table: u64,
    /// Number of allocation tables, which are all identical.
    pub tables: u64,
    /// Length of a cluster in bytes.
    pub cluster: u64,
    /// Number of clusters for files and directories.
    pub clusters: u64,
    /// Number of entries in the root directory if it has a fixed place, as on FAT12 and FAT16.
    pub root_entries: Option<u64>,
    /// Offset in bytes of the sector with the number of free clusters.
    pub information: Option<u64>,
}

impl Geometry {
    /// Reads a boot sector (Microsoft FAT specification, "Boot Sector and BPB"). `wide` is whether
    /// the file system should be FAT32. `mkfs.fat -F 32` can make file systems with too few
    /// clusters, which other programs then read as FAT16.
    pub fn read(sector: &BootSector, wide: bool) -> anyhow::Result<Geometry> {
        let geometry = Geometry::parse(sector)
            .context("mkfs.fat wrote a boot sector with impossible sizes")?;
        let (width, clusters) = (geometry.width, geometry.clusters);
        if (width == Width::Fat32) != wide || !geometry.type_name_matches(sector) {
            bail!(
                "mkfs.fat made {clusters} clusters of {} bytes and a {} allocation table: readers \
                 would not agree on its width; use dosfstools 4.2",
                geometry.cluster,
                match geometry.root_entries {
                    None => "32-bit",
                    Some(_) => "12- or 16-bit",
                }
            );
        }
        Ok(geometry)
    }

    fn parse(sector: &BootSector) -> Option<Geometry> {
        if u64::from(sector.bpb_byts_per_sec) != SECTOR || sector.bpb_num_fats == 0 {
            return None;
        }
        let fat32 = sector.fat32();
        let either = |short: U16, long: U32| match short.get() {
            0 => u64::from(long),
            short => u64::from(short),
        };
        let reserved = u64::from(sector.bpb_rsvd_sec_cnt);
        let tables = u64::from(sector.bpb_num_fats);
        let table = either(sector.bpb_fatsz16, fat32.bpb_fatsz32);
        let root = u64::from(sector.bpb_root_ent_cnt);
        let before = reserved + tables * table + (root * SLOT).div_ceil(SECTOR);
        let data = either(sector.bpb_tot_sec16, sector.bpb_tot_sec32).checked_sub(before)?;
        let clusters = data.checked_div(u64::from(sector.bpb_sec_per_clus))?;
        let narrow = sector.bpb_fatsz16 != 0;
        let width = match clusters {
            FAT32_CLUSTERS.. => Width::Fat32,
            FAT16_CLUSTERS.. => Width::Fat16,
            _ => Width::Fat12,
        };
        let usual = narrow || (fat32.bpb_root_clus == 2 && fat32.bpb_fs_ver == 0 && root == 0);
        let information = (!narrow).then_some(u64::from(fat32.bpb_fs_info) * SECTOR);
        let geometry = Geometry {
            width,
            media: sector.bpb_media,
            reserved: reserved * SECTOR,
            table: table * SECTOR,
            tables,
            cluster: SECTOR * u64::from(sector.bpb_sec_per_clus),
            clusters,
            root_entries: narrow.then_some(root),
            information,
        };
        let inside = information.is_none_or(|at| at > 0 && at + SECTOR <= geometry.reserved);
        let fits = width.bytes(clusters + 2) <= geometry.table;
        (usual && inside && fits && reserved > 0 && clusters > 0).then_some(geometry)
    }

    /// Returns whether both the type name in the boot sector, which some readers rely on, and the
    /// kind of boot sector match the number of clusters.
    fn type_name_matches(&self, sector: &BootSector) -> bool {
        let (volume, name, fixed) = match self.width {
            Width::Fat12 => (sector.fat16().volume, b"FAT12   ", true),
            Width::Fat16 => (sector.fat16().volume, b"FAT16   ", true),
            Width::Fat32 => (sector.fat32().volume, b"FAT32   ", false),
        };
        volume.bs_fil_sys_type == *name && self.root_entries.is_some() == fixed
    }

    /// Offset of the root directory in bytes, if it has a fixed place.
    pub fn root(&self) -> u64 {
        self.reserved + self.tables * self.table
    }

    /// Offset of the cluster `number` in bytes. On FAT32, the root directory begins in the first
    /// cluster.
    pub fn place(&self, number: u64) -> u64 {
        let root = self.root_entries.unwrap_or(0) * SLOT;
        let first = self.root() + root.next_multiple_of(SECTOR);
        first + number.saturating_sub(FIRST) * self.cluster
    }
}

impl Width {
    /// Returns the length in bytes of this many entries of the table.
    pub fn bytes(self, entries: u64) -> u64 {
        match self {
            Width::Fat12 => (entries * 3).div_ceil(2),
            Width::Fat16 => entries * 2,
            Width::Fat32 => entries * 4,
        }
    }
}
