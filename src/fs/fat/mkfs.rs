//! Running `mkfs.fat`. The sectors before the allocation tables and the entry of the label are
//! taken from its file system.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::FatVolume;
use super::entry::Slot;
use super::geometry::{self, Geometry};
use super::ondisk::{BootSector, DirEntry, attr};
use crate::layout::SECTOR;
use crate::spec::Tools;
use crate::{escape, leftover, process};

/// The parts of an empty file system that are kept.
pub(super) struct Empty {
    pub geometry: Geometry,
    /// Everything before the allocation tables.
    pub reserved: Vec<u8>,
    /// The directory entry of the label.
    pub label: Slot,
}

/// Runs `mkfs.fat` to make an empty file system in the file `path`, reads it, and removes the file.
///
/// # Errors
/// If `mkfs.fat` fails, or does not make what it was told to make.
pub(super) fn run(tools: &Tools, volume: &FatVolume<'_>, path: &Path) -> Result<Empty> {
    let shown = escape::path(path);
    File::create(path)
        .and_then(|file| file.set_len(volume.length))
        .with_context(|| format!("making {shown}"))?;
    let wide = volume.length >= geometry::SMALLEST_FAT32;
    let mut mkfs = Command::new(&tools.mkfs_fat);
    // The option --invariant fixes the times. It must come before -i, because it also sets an ID.
    // mkfs.fat cuts the file system to whole tracks. With this geometry, it fills a partition of
    // whole MiB.
    mkfs.env_clear()
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .arg("--invariant")
        .args(["-n", volume.label])
        .args(["-i", &format!("{:08x}", volume.id)])
        .args(["-h", &volume.first_sector.to_string()])
        .args(["-g", &format!("64/{}", geometry::TRACK)]);
    if wide {
        mkfs.args(["-F", "32"]);
    }
    process::quiet(mkfs.arg(path), process::USUAL)?;
    let file = leftover::open_of_length(path, "mkfs.fat", volume.length)?;
    let empty = Empty::read(&file, volume, wide).with_context(|| format!("reading {shown}"))?;
    fs::remove_file(path).with_context(|| format!("removing {shown}"))?;
    Ok(empty)
}

impl Empty {
    fn read(file: &File, volume: &FatVolume<'_>, wide: bool) -> Result<Empty> {
        let mut sector = BootSector::new_zeroed();
        file.read_exact_at(sector.as_mut_bytes(), 0)?;
        let geometry = Geometry::read(&sector, wide)?;
        check(&sector, volume, wide)?;
        // Not too large: it is a 16-bit number of sectors.
        let mut reserved = vec![0; usize::try_from(geometry.reserved)?];
        file.read_exact_at(&mut reserved, 0)?;
        let mut label = DirEntry::new_zeroed();
        file.read_exact_at(label.as_mut_bytes(), geometry.root())?;
        ensure!(
            label.dir_name == padded(volume.label) && label.dir_attr == attr::VOLUME_ID,
            "mkfs.fat did not write the label {}",
            volume.label
        );
        Ok(Empty {
            geometry,
            reserved,
            label: zerocopy::transmute!(label),
        })
    }
}

/// Checks that the boot sector contains what `mkfs.fat` was told to write (Microsoft FAT
/// specification, "Boot Sector and BPB"). [`Geometry::read`] has checked the rest.
fn check(sector: &BootSector, volume: &FatVolume<'_>, wide: bool) -> Result<()> {
    let whole = volume.length / SECTOR / geometry::TRACK * geometry::TRACK;
    let sectors = u32::try_from(whole).context("FAT's limit is 2 TiB")?;
    let first =
        u32::try_from(volume.first_sector).context("a FAT partition must begin before 2 TiB")?;
    let part = match wide {
        true => sector.fat32().volume,
        false => sector.fat16().volume,
    };
    for (is_right, field) in [
        (
            sector.signature_word == BootSector::SIGNATURE,
            "the signature of a boot sector",
        ),
        (
            sector.bpb_tot_sec32 == sectors || u32::from(sector.bpb_tot_sec16) == sectors,
            "the file system's length",
        ),
        (sector.bpb_num_fats == 2, "two allocation tables"),
        (sector.bpb_hidd_sec == first, "the partition's first sector"),
        (part.bs_vol_id == volume.id, "the volume ID"),
        (part.bs_vol_lab == padded(volume.label), "the label"),
    ] {
        ensure!(
            is_right,
            "the boot sector that mkfs.fat wrote does not have {field}"
        );
    }
    Ok(())
}

/// Pads a label of at most 11 bytes with spaces.
fn padded(label: &str) -> [u8; 11] {
    let mut name = [b' '; 11];
    for (to, from) in name.iter_mut().zip(label.bytes()) {
        *to = from;
    }
    name
}
