//! What the boot sector of a FAT says of its size, and how much a tree takes of it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::escape;
use crate::layout::SECTOR;
use crate::tree::{Kind, Tree};

/// A FAT has 32 bits from this many clusters on, to everyone who reads it (Microsoft FAT
/// specification, "FAT Type Determination").
const FAT32_CLUSTERS: u64 = 65_525;

/// The shortest volume, in bytes, on which `mkfs.fat -F 32`, which takes clusters of one sector up
/// to 260 MiB, makes enough of them: 32 reserved sectors and two tables of 512 sectors come before.
/// Whole tracks are counted.
pub(super) const SMALLEST_FAT32: u64 =
    (32 + 2 * 512 + FAT32_CLUSTERS).next_multiple_of(TRACK) * SECTOR;

/// Sectors of a track. There are no tracks, but the boot sector has a number of sectors for them.
pub(super) const TRACK: u64 = 32;

/// Bytes of a directory entry.
const SLOT: u64 = 32;

/// Characters of a long name in one entry.
const SLOT_CHARACTERS: u64 = 13;

/// Sizes of a FAT file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of a cluster.
    pub cluster: u64,
    /// Clusters for files and directories.
    pub clusters: u64,
    /// Entries of the root directory where it has a fixed place, which is where FAT is not 32 bits
    /// wide.
    pub root_entries: Option<u64>,
}

impl Geometry {
    /// Reads the boot sector of `image` (Microsoft FAT specification, "Boot Sector and BPB").
    pub fn read(image: &Path) -> anyhow::Result<Geometry> {
        let mut sector = [0; 64];
        File::open(image)
            .and_then(|file| file.read_exact_at(&mut sector, 0))
            .with_context(|| format!("reading {}", escape::path(image)))?;
        Geometry::parse(&sector)
            .with_context(|| format!("{} has no FAT boot sector", escape::path(image)))
    }

    fn parse(sector: &[u8; 64]) -> Option<Geometry> {
        let short = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let long = |at: usize| short(at) | short(at + 2) << 16;
        let either = |short: u64, long: u64| if short == 0 { long } else { short };
        let bytes = short(11);
        let root = short(17);
        let tables = u64::from(sector[16]) * either(short(22), long(36));
        let before = short(14) + tables + (root * SLOT).div_ceil(bytes.max(1));
        let data = either(short(19), long(32)).checked_sub(before)?;
        Some(Geometry {
            cluster: (bytes * u64::from(sector[13])).max(SECTOR),
            clusters: data.checked_div(u64::from(sector[13]))?,
            root_entries: (short(22) != 0).then_some(root),
        })
    }

    /// Checks that FAT is as wide as it should be: `mkfs.fat -F 32` makes file systems with too few
    /// clusters, which others then read as 16 bits wide.
    pub fn expect(&self, wide: bool) -> anyhow::Result<()> {
        let fat32 = self.root_entries.is_none();
        if fat32 != wide || fat32 != (self.clusters >= FAT32_CLUSTERS) {
            bail!(
                "mkfs.fat made {} clusters of {} bytes and a {} table: readers would not agree on \
                 its width. Use dosfstools 4.2",
                self.clusters,
                self.cluster,
                if fat32 { "32-bit" } else { "12- or 16-bit" }
            );
        }
        Ok(())
    }
}

/// What a tree takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// Clusters of files and directories.
    pub clusters: u64,
    /// Entries in the root directory, the label's among them.
    pub root_slots: u64,
}

impl Need {
    /// What `tree` takes at most: every name counts as a long one.
    pub fn of(tree: &Tree, geometry: &Geometry) -> Need {
        let in_clusters = |bytes: u64| bytes.div_ceil(geometry.cluster);
        let slots = |id| -> u64 {
            let entries = tree.directory(id).into_iter().flat_map(|d| d.iter());
            // usize to u64: lossless on every target Rust has.
            entries
                .map(|(name, _)| 1 + (name.len() as u64).div_ceil(SLOT_CHARACTERS))
                .sum()
        };
        let root_slots = 1 + slots(crate::tree::InodeId::ROOT);
        let mut clusters = match geometry.root_entries {
            Some(_) => 0,
            None => in_clusters(root_slots * SLOT),
        };
        tree.walk(|_, id| {
            clusters += match &tree.inode(id).kind {
                // `.` and `..` are entries of every directory but the root.
                Kind::Directory(_) => in_clusters((2 + slots(id)) * SLOT),
                Kind::File(content) => in_clusters(content.size),
                _ => 0,
            };
        });
        Need {
            clusters,
            root_slots,
        }
    }
}
