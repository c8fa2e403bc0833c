//! Everything that `inspect` says about an image; also its form in JSON.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::hash;
use crate::container::{Disk, Facts};
use crate::partitions::{self, Partition, Place, Table};
use crate::volume::{self, Region, Volume};
use crate::{escape, holes};

/// The version of the form in JSON. It changes when a field is removed or gets another meaning.
const SCHEMA: u32 = 1;

/// A description of an image.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    pub file: FileReport,
    pub container: Facts,
    pub disk: DiskReport,
    pub table: TableReport,
    pub partitions: Vec<PartitionReport>,
    /// SHA-256 of everything that is in no partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest_sha256: Option<String>,
}

/// The file.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// Its path, escaped.
    pub path: String,
    /// In bytes.
    pub length: u64,
}

/// The disk.
#[derive(Debug, Serialize)]
pub struct DiskReport {
    /// In bytes.
    pub length: u64,
    /// In bytes.
    pub sector_size: u64,
    /// Whose code is in the first sector; null if there is none.
    pub boot_code: Option<&'static str>,
}

/// The partition table.
#[derive(Debug, Serialize)]
pub struct TableReport {
    pub kind: &'static str,
    pub id: Option<String>,
    /// The `partitionTableType` that makes such a table.
    pub scheme: Option<&'static str>,
    pub problem: Option<String>,
    pub parameters: Facts,
}

/// A partition.
#[derive(Debug, Serialize)]
pub struct PartitionReport {
    pub number: u32,
    pub role: &'static str,
    /// "primary", "extended" or "logical".
    pub place: &'static str,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub type_name: &'static str,
    pub name: Option<String>,
    pub partuuid: Option<String>,
    /// GPT attributes, or 1 for the active partition of an MBR.
    pub attributes: u64,
    pub first_sector: u64,
    pub last_sector: u64,
    /// In bytes.
    pub start: u64,
    /// In bytes.
    pub length: u64,
    pub volume: Option<VolumeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What is in a partition.
#[derive(Debug, Serialize)]
pub struct VolumeReport {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub label: Option<String>,
    pub uuid: Option<String>,
    /// In bytes.
    pub length: Option<u64>,
    /// In bytes.
    pub used: Option<u64>,
    /// In bytes.
    pub free: Option<u64>,
    pub problem: Option<String>,
    pub parameters: Facts,
}

impl VolumeReport {
    /// The name of the file system for people.
    pub fn name(&self) -> &str {
        match (self.kind, self.parameters.text("version")) {
            ("vfat", "") => "FAT",
            ("vfat", version) => version,
            ("crypto_LUKS", _) => "LUKS",
            (kind, _) => kind,
        }
    }
}

/// `None` instead of an empty text.
fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl Report {
    /// Describes the image `path`; with hashes of its parts if `hashes` is set.
    ///
    /// # Errors
    /// If it cannot be read, or its partition table is damaged.
    pub fn of(path: &Path, hashes: bool) -> Result<Report> {
        let disk = Disk::open(path)?;
        let table = partitions::read(&disk)?;
        let boot_code = match table.kind {
            partitions::Kind::None => None,
            _ => boot_code(&disk)?,
        };
        let mut found = Vec::new();
        for partition in &table.partitions {
            found.push(describe(&disk, &table, partition, hashes)?);
        }
        let rest_sha256 = match hashes {
            true => Some(rest(&disk, &table)?),
            false => None,
        };
        Ok(Report {
            schema: SCHEMA,
            file: FileReport {
                path: escape::path(path),
                length: disk.file_length(),
            },
            disk: DiskReport {
                length: disk.length,
                sector_size: table.sector,
                boot_code,
            },
            container: disk.facts,
            table: TableReport {
                kind: table.kind.name(),
                id: some(table.id),
                scheme: table.scheme,
                problem: table.damage.map(|damage| damage.0),
                parameters: table.facts,
            },
            partitions: found,
            rest_sha256,
        })
    }

    /// The report as JSON, with a newline.
    ///
    /// # Errors
    /// If this fails.
    pub fn json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self).context("writing JSON")?;
        Ok(json + "\n")
    }
}

fn describe(
    disk: &Disk,
    table: &Table,
    partition: &Partition,
    hashes: bool,
) -> Result<PartitionReport> {
    let region = Region::of(disk, partition);
    let volume = match partition.place {
        Place::Extended => None,
        Place::Primary | Place::Logical => {
            volume::probe(&region).with_context(|| format!("reading {}", partition.title()))?
        }
    };
    let sha256 = match hashes {
        true => {
            let mut sum = Sha256::new();
            hash::add(disk, partition.start, partition.end, &mut sum)?;
            Some(hash::hex(sum))
        }
        false => None,
    };
    Ok(PartitionReport {
        number: partition.number,
        role: role(partition, volume.as_ref()),
        place: match partition.place {
            Place::Primary => "primary",
            Place::Extended => "extended",
            Place::Logical => "logical",
        },
        kind: some(partition.kind.clone()),
        type_name: partition.kind_name,
        name: some(partition.name.clone()),
        partuuid: some(partition.uuid.clone()),
        attributes: partition.attributes,
        first_sector: partition.start / table.sector,
        last_sector: (partition.end / table.sector).saturating_sub(1),
        start: partition.start,
        length: partition.length(),
        volume: volume.map(|volume| VolumeReport {
            kind: volume.kind,
            label: some(volume.label),
            uuid: some(volume.uuid),
            length: volume.size,
            used: volume.used,
            free: volume.free,
            problem: volume.problem,
            parameters: volume.facts,
        }),
        sha256,
    })
}

/// The types that a root file system on a disk without a table may have.
const ROOTS: [&str; 8] = [
    "ext2", "ext3", "ext4", "btrfs", "xfs", "f2fs", "erofs", "squashfs",
];

/// The role of a partition; that of a disk without a table depends on its contents.
fn role(partition: &Partition, volume: Option<&Volume>) -> &'static str {
    match volume {
        Some(volume) if partition.number == 0 && ROOTS.contains(&volume.kind) => "root",
        _ => partition.role,
    }
}

/// The hash of everything outside of partitions.
fn rest(disk: &Disk, table: &Table) -> Result<String> {
    let mut sum = Sha256::new();
    let mut position = 0;
    for partition in table.by_start() {
        hash::add(disk, position, partition.start, &mut sum)?;
        position = partition.end;
    }
    hash::add(disk, position, disk.length, &mut sum)?;
    Ok(hash::hex(sum))
}

/// The length of the boot code in an MBR, in bytes.
const BOOT_CODE: usize = 440;

/// Recognizes the boot code in the first sector.
fn boot_code(disk: &Disk) -> Result<Option<&'static str>> {
    let mut code = [0; BOOT_CODE];
    disk.read(0, &mut code, "the boot code")?;
    let contains = |text: &[u8]| memchr::memmem::find(&code, text).is_some();
    Ok(match () {
        () if holes::is_zeros(&code) => None,
        () if contains(b"GRUB") => Some("GRUB"),
        () if contains(b"Limine") => Some("Limine"),
        () if contains(b"isolinux") || contains(b"SYSLINUX") => Some("SYSLINUX"),
        () => Some("unknown"),
    })
}
