//! Reads FAT12, FAT16 and FAT32 (Microsoft's "FAT: General Overview of On-Disk Format", version 1.03).
//!
//! The crate `fatfs`, which reads what our writer wrote in tests, follows a chain of clusters that is a
//! circle without an end, and computes with impossible values of the boot sector.

mod directory;
mod fields;
mod geometry;
mod owners;
mod table;

use anyhow::{Context, Result, ensure};

use self::geometry::Geometry;
use super::contents::Contents;
use super::field::text;
use super::node::{FileSystem, Kind, Meta, Node};
use super::runs::{Owners, Run};
use super::{Meaning, Region, Volume};
use crate::fs::fat::ondisk::{BootSector, FsInfo, VolumePart};

/// The name of the top directory, which has no entry.
const ROOT: u64 = 0;

/// The label of a file system without one.
const NO_LABEL: &str = "NO NAME";

/// A FAT file system.
pub struct Fat<'a> {
    region: Region<'a>,
    geometry: Geometry,
}

/// Reads the boot sector, if it is that of a FAT file system.
fn boot_sector(region: &Region<'_>) -> Result<Option<BootSector>> {
    if region.length < 512 {
        return Ok(None);
    }
    let boot: BootSector = region.structure(0, "the boot sector")?;
    let is_jump = matches!(boot.bs_jmp_boot, [0xeb, _, 0x90] | [0xe9, _, _]);
    let is_named = |part: &VolumePart| part.bs_fil_sys_type.starts_with(b"FAT");
    let is_fat = boot.signature_word == BootSector::SIGNATURE
        && is_jump
        && (is_named(&boot.fat16().volume) || is_named(&boot.fat32().volume));
    Ok(is_fat.then_some(boot))
}

/// Recognizes the contents of `region`.
///
/// # Errors
/// If it cannot be read.
pub fn probe(region: &Region<'_>) -> Result<Option<Volume>> {
    let Some(boot) = boot_sector(region)? else {
        return Ok(None);
    };
    let mut volume = Volume::new("vfat");
    let is_32 = boot.bpb_fatsz16.get() == 0;
    let part = match is_32 {
        true => boot.fat32().volume,
        false => boot.fat16().volume,
    };
    let id = part.bs_vol_id.get();
    volume.uuid = format!("{:04X}-{:04X}", id >> 16, id & 0xffff);
    volume.label = text(&part.bs_vol_lab);
    let described = Fat::new(region, &boot).and_then(|fat| fat.describe(&boot, &mut volume));
    volume.problem = described.err().map(|error| format!("{error:#}"));
    if volume.label == NO_LABEL {
        volume.label = String::new();
    }
    Ok(Some(volume))
}

/// Opens the file system in `region`, if it is FAT.
///
/// # Errors
/// If it cannot be read, or its boot sector has impossible values.
pub fn open<'a>(region: &Region<'a>) -> Result<Option<Fat<'a>>> {
    let boot = boot_sector(region)?;
    boot.map(|boot| Fat::new(region, &boot)).transpose()
}

impl<'a> Fat<'a> {
    fn new(region: &Region<'a>, boot: &BootSector) -> Result<Fat<'a>> {
        Ok(Fat {
            region: *region,
            geometry: Geometry::new(boot, region.length).context("reading the boot sector")?,
        })
    }
}

impl Fat<'_> {
    /// Fills in sizes and parameters.
    fn describe(&self, boot: &BootSector, volume: &mut Volume) -> Result<()> {
        let geometry = &self.geometry;
        volume.size = geometry.sectors.checked_mul(geometry.sector);
        let boot_label = std::mem::take(&mut volume.label);
        let facts = &mut volume.facts;
        facts.add("version", geometry.width.name());
        facts.add("sector_size", geometry.sector);
        facts.add("cluster_size", geometry.cluster);
        facts.add("clusters", geometry.clusters);
        facts.add("sectors", geometry.sectors);
        facts.add("tables", geometry.tables);
        facts.add("table_sectors", geometry.table_length / geometry.sector);
        facts.add("reserved_sectors", geometry.first_table / geometry.sector);
        facts.add("root_entries", boot.bpb_root_ent_cnt.get());
        facts.add("media", boot.bpb_media);
        facts.add("hidden_sectors", boot.bpb_hidd_sec.get());
        facts.add("sectors_per_track", boot.bpb_sec_per_trk.get());
        facts.add("heads", boot.bpb_num_heads.get());
        facts.add("maker", text(&boot.bs_oem_name));
        facts.add("boot_label", boot_label.as_str());
        let info = boot.fat32().bpb_fs_info.get();
        if let Some(root) = geometry.root_cluster {
            facts.add("root_cluster", root);
            if (1..u16::MAX).contains(&info) {
                let at = u64::from(info).saturating_mul(geometry.sector);
                let info: FsInfo = self.region.structure(at, "the sector of free counts")?;
                facts.add("recorded_free_clusters", info.fsi_free_count.get());
            }
        }
        let used = self.used_clusters()?;
        let facts = &mut volume.facts;
        facts.add("used_clusters", used);
        volume.used = used.checked_mul(geometry.cluster);
        let free = geometry.clusters.checked_sub(used);
        volume.free = free.and_then(|free| free.checked_mul(geometry.cluster));
        volume.label = self.label()?.unwrap_or(boot_label);
        Ok(())
    }

    /// The contents of the file or directory that begins with `cluster`; `size` is not known for
    /// directories.
    fn chain_contents(&self, cluster: u64, size: Option<u64>) -> Result<Contents> {
        let geometry = &self.geometry;
        // A directory that is longer is refused, and need not be read to its end.
        let most = size.unwrap_or(directory::LONGEST.saturating_add(1));
        let runs = match cluster {
            0 => Vec::new(),
            _ => self.chain(cluster, most.div_ceil(geometry.cluster))?,
        };
        let length = runs
            .last()
            .map_or(0, |run| run.at.saturating_add(run.length));
        if let Some(size) = size {
            ensure!(
                size <= length,
                "its length is {size} bytes, but it has clusters for {length}: the file system is damaged"
            );
        }
        Ok(Contents::Runs {
            size: size.unwrap_or(length),
            runs,
        })
    }

    /// The contents of the directory `node`.
    fn directory(&self, node: Node) -> Result<Contents> {
        let cluster = match node.id {
            ROOT => match self.geometry.root_cluster {
                Some(cluster) => cluster,
                None => {
                    let (place, length) = self.geometry.root_area();
                    return Ok(Contents::Runs {
                        size: length,
                        runs: vec![Run {
                            at: 0,
                            length,
                            place: Some(place),
                        }],
                    });
                }
            },
            place => {
                let entry = self.entry(place)?;
                ensure!(entry.is_directory(), "it is not a directory");
                match entry.cluster(&self.geometry) {
                    // Where `..` is the top directory; other directories have a cluster.
                    0 => return self.directory(Node { id: ROOT }),
                    cluster => cluster,
                }
            }
        };
        self.chain_contents(cluster, None)
    }
}

impl FileSystem for Fat<'_> {
    fn root(&self) -> Node {
        Node { id: ROOT }
    }

    fn list(&self, directory: Node) -> Result<Vec<(Vec<u8>, Node)>> {
        let reading = || {
            format!(
                "reading the directory with the entry at byte {}",
                directory.id
            )
        };
        let contents = self.directory(directory).with_context(reading)?;
        let found = directory::read(self, &contents).with_context(reading)?;
        Ok(found.names)
    }

    fn meta(&self, node: Node) -> Result<Meta> {
        if node.id == ROOT {
            return Ok(Meta {
                kind: Kind::Directory,
                mode: None,
                owner: None,
                size: 0,
                times: Vec::new(),
                links: 1,
                inode: None,
                device: None,
                others: Vec::new(),
            });
        }
        Ok(self.entry(node.id)?.meta())
    }

    fn contents(&self, node: Node) -> Result<Contents> {
        let entry = self.entry(node.id)?;
        ensure!(!entry.is_directory(), "it is a directory");
        self.chain_contents(entry.cluster(&self.geometry), Some(entry.size()))
            .with_context(|| format!("finding the contents of the entry at byte {}", node.id))
    }

    fn xattrs(&self, _: Node) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(Vec::new())
    }

    fn ignores_case(&self) -> bool {
        true
    }

    fn owners(&self) -> Result<Owners> {
        owners::find(self)
    }

    fn identity(&self, node: Node) -> Result<u64> {
        match node.id {
            ROOT => Ok(ROOT),
            place => Ok(self.entry(place)?.cluster(&self.geometry)),
        }
    }

    fn explain(&self, owners: &Owners, at: u64) -> Meaning {
        fields::explain(self, owners, at)
    }
}
