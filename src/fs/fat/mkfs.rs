//! What is taken from `mkfs.fat`: the sectors before the allocation tables, and the label.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::FatVolume;
use super::entry::Slot;
use super::geometry::{self, Geometry};
use crate::layout::SECTOR;
use crate::spec::Tools;
use crate::{escape, leftover, process};

/// An entry of this kind is the label of the file system (Microsoft FAT specification, "FAT
/// Directory Structure").
const LABEL: u8 = 0x08;

/// An empty file system.
pub(super) struct Empty {
    pub geometry: Geometry,
    /// Everything before the allocation tables.
    pub reserved: Vec<u8>,
    /// The entry of the label.
    pub label: Slot,
}

/// Lets `mkfs.fat` make an empty file system in the file `path`, which is then removed.
///
/// # Errors
/// If it fails, or what it leaves is not what it was told to make.
pub(super) fn run(tools: &Tools, volume: &FatVolume<'_>, path: &Path) -> Result<Empty> {
    let shown = escape::path(path);
    File::create(path)
        .and_then(|file| file.set_len(volume.length))
        .with_context(|| format!("making {shown}"))?;
    let wide = volume.length >= geometry::SMALLEST_FAT32;
    let mut mkfs = Command::new(&tools.mkfs_fat);
    // --invariant fixes the times, and must come before -i: it sets an ID too. mkfs.fat cuts the
    // file system to whole tracks: with these, it is as long as a partition of whole MiB.
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
        let mut sector = [0; 512];
        file.read_exact_at(&mut sector, 0)?;
        let geometry = Geometry::read(&sector, wide)?;
        check(&sector, volume, wide)?;
        // It is a number of 16 bits of sectors.
        let mut reserved = vec![0; usize::try_from(geometry.reserved)?];
        file.read_exact_at(&mut reserved, 0)?;
        let mut label = [0; 32];
        file.read_exact_at(&mut label, geometry.root())?;
        ensure!(
            label[..11] == padded(volume.label) && label[11] == LABEL,
            "mkfs.fat did not write the label {}",
            volume.label
        );
        Ok(Empty {
            geometry,
            reserved,
            label,
        })
    }
}

/// Checks that the boot sector says what `mkfs.fat` was told to write (Microsoft FAT specification,
/// "Boot Sector and BPB"); [`Geometry::read`] has looked at the rest.
fn check(sector: &[u8; 512], volume: &FatVolume<'_>, wide: bool) -> Result<()> {
    let whole = volume.length / SECTOR / geometry::TRACK * geometry::TRACK;
    let sectors = u32::try_from(whole).context("a FAT has less than 2 TiB")?;
    let first = u32::try_from(volume.first_sector).context("a FAT begins before 2 TiB")?;
    let short = u16::from_le_bytes([sector[19], sector[20]]);
    let at = if wide { 67 } else { 39 };
    let has = |at: usize, bytes: &[u8]| sector[at..].starts_with(bytes);
    for (right, what) in [
        (has(510, &[0x55, 0xaa]), "the mark of a boot sector"),
        (
            has(32, &sectors.to_le_bytes()) || u32::from(short) == sectors,
            "the file system's length",
        ),
        (has(16, &[2]), "two allocation tables"),
        (
            has(28, &first.to_le_bytes()),
            "the partition's first sector",
        ),
        (has(at, &volume.id.to_le_bytes()), "the volume ID"),
        (has(at + 4, &padded(volume.label)), "the label"),
    ] {
        ensure!(
            right,
            "the boot sector that mkfs.fat wrote does not have {what}"
        );
    }
    Ok(())
}

/// A label, which has at most 11 bytes, with blanks behind it.
fn padded(label: &str) -> [u8; 11] {
    let mut name = [b' '; 11];
    for (to, from) in name.iter_mut().zip(label.bytes()) {
        *to = from;
    }
    name
}
