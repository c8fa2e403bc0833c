//! The sizes of a file system, checked.

use anyhow::{Context, Result, ensure};

use crate::fs::fat::ondisk::BootSector;

/// Bits of an entry of the allocation table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    Bits12,
    Bits16,
    Bits32,
}

impl Width {
    /// The name of the file system.
    pub fn name(self) -> &'static str {
        match self {
            Width::Bits12 => "FAT12",
            Width::Bits16 => "FAT16",
            Width::Bits32 => "FAT32",
        }
    }

    /// Bits.
    pub fn bits(self) -> u64 {
        match self {
            Width::Bits12 => 12,
            Width::Bits16 => 16,
            Width::Bits32 => 32,
        }
    }
}

/// FAT12 has fewer clusters than this ("FAT Type Determination").
const FAT16_FROM: u64 = 4085;

/// The size of a directory entry in bytes.
pub const ENTRY: u64 = 32;

/// Sizes and places, in bytes if not stated otherwise.
#[derive(Debug)]
pub struct Geometry {
    pub width: Width,
    pub sector: u64,
    /// Number of sectors.
    pub sectors: u64,
    pub cluster: u64,
    /// Number of clusters, which are counted from 2.
    pub clusters: u64,
    /// Number of allocation tables.
    pub tables: u64,
    pub first_table: u64,
    pub table_length: u64,
    /// Entries of the top directory; 0 on FAT32.
    pub root_entries: u64,
    /// The first cluster of the top directory, on FAT32.
    pub root_cluster: Option<u64>,
    /// Where cluster 2 begins.
    pub data: u64,
    /// The sector of the copy of the boot sector, on FAT32, or 0.
    pub backup: u64,
    /// The sector of free counts, on FAT32, or 0.
    pub info: u64,
}

impl Geometry {
    /// Reads the boot sector of a file system in a partition of `length` bytes.
    ///
    /// # Errors
    /// If values are impossible.
    pub fn new(boot: &BootSector, length: u64) -> Result<Geometry> {
        let sector = u64::from(boot.bpb_byts_per_sec.get());
        ensure!(
            (512..=4096).contains(&sector) && sector.is_power_of_two(),
            "it declares sectors of {sector} bytes"
        );
        let per_cluster = u64::from(boot.bpb_sec_per_clus);
        ensure!(
            per_cluster.is_power_of_two(),
            "it declares clusters of {per_cluster} sectors"
        );
        let sectors = match boot.bpb_tot_sec16.get() {
            0 => u64::from(boot.bpb_tot_sec32.get()),
            sectors => sectors.into(),
        };
        let size = sectors.saturating_mul(sector);
        ensure!(
            size <= length,
            "it declares {sectors} sectors of {sector} bytes, but the partition has {length} bytes: it is \
             truncated or damaged"
        );
        let tables = u64::from(boot.bpb_num_fats);
        let reserved = u64::from(boot.bpb_rsvd_sec_cnt.get());
        ensure!(
            (1..=4).contains(&tables) && reserved > 0,
            "it declares {tables} allocation tables after {reserved} sectors"
        );
        let is_32 = boot.bpb_fatsz16.get() == 0;
        let part = boot.fat32();
        let table_sectors = match boot.bpb_fatsz16.get() {
            0 => u64::from(part.bpb_fatsz32.get()),
            sectors => sectors.into(),
        };
        ensure!(
            table_sectors > 0,
            "it declares allocation tables of 0 sectors"
        );
        let root_entries = u64::from(boot.bpb_root_ent_cnt.get());
        let root_sectors = root_entries.saturating_mul(ENTRY).div_ceil(sector);
        let data_sector = reserved
            .saturating_add(tables.saturating_mul(table_sectors))
            .saturating_add(root_sectors);
        let clusters = sectors
            .checked_sub(data_sector)
            .map(|sectors| sectors / per_cluster)
            .context("it declares fewer sectors than the allocation tables have")?;
        let width = match () {
            () if is_32 => Width::Bits32,
            () if clusters < FAT16_FROM => Width::Bits12,
            () => Width::Bits16,
        };
        let table_length = table_sectors.saturating_mul(sector);
        let needed = clusters
            .saturating_add(2)
            .saturating_mul(width.bits())
            .div_ceil(8);
        ensure!(
            needed <= table_length,
            "it declares {clusters} clusters, but the allocation tables have {table_length} bytes"
        );
        let root_cluster = is_32.then(|| u64::from(part.bpb_root_clus.get()));
        if let Some(cluster) = root_cluster {
            ensure!(
                cluster >= 2 && cluster < clusters.saturating_add(2),
                "it declares that the top directory begins with cluster {cluster} of {clusters}"
            );
        }
        let of_32 = |sector: u16| {
            if is_32 && sector < u16::MAX {
                sector.into()
            } else {
                0
            }
        };
        Ok(Geometry {
            width,
            sector,
            sectors,
            cluster: per_cluster.saturating_mul(sector),
            clusters,
            tables,
            first_table: reserved.saturating_mul(sector),
            table_length,
            root_entries,
            root_cluster,
            data: data_sector.saturating_mul(sector),
            backup: of_32(part.bpb_bk_boot_sec.get()),
            info: of_32(part.bpb_fs_info.get()),
        })
    }

    /// Place and length of the top directory, if it is not a chain of clusters.
    pub fn root_area(&self) -> (u64, u64) {
        let length = self.root_entries.saturating_mul(ENTRY);
        let tables = self.tables.saturating_mul(self.table_length);
        (self.first_table.saturating_add(tables), length)
    }

    /// Where a cluster begins, if there is one with this number.
    pub fn place(&self, cluster: u64) -> Option<u64> {
        let index = cluster
            .checked_sub(2)
            .filter(|&index| index < self.clusters)?;
        Some(self.data.saturating_add(index.saturating_mul(self.cluster)))
    }
}
