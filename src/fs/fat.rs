//! FAT boot partitions: `mkfs.fat` makes the empty file system, and this module lays out its
//! contents.
//!
//! No existing tool supports all VFAT names and writes the same bytes in every version. mtools
//! cannot write characters outside Unicode's Basic Multilingual Plane and treat `[` as a pattern.
//! Whether they write a long entry for a name in 8.3 format depends on uninitialised memory on
//! their stack.

mod alias;
mod entry;
mod geometry;
mod mkfs;
mod names;
pub(crate) mod ondisk;
mod place;
mod table;
mod write;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::geometry::{FIRST, Geometry};
use self::place::Placed;
use crate::spec::Tools;
use crate::tree::Tree;

/// The longest file, in bytes.
const LARGEST_FILE: u64 = u32::MAX as u64;

/// The description of a FAT file system to be made.
#[derive(Debug, Clone, Copy)]
pub struct FatVolume<'a> {
    /// The label: 1 to 11 characters from `A`-`Z`, `0`-`9`, `_` and `-`.
    pub label: &'a str,
    /// The volume ID.
    pub id: u32,
    /// Length in bytes, a multiple of the sector size.
    pub length: u64,
    /// The partition's first sector, which goes into the boot sector ("hidden sectors").
    pub first_sector: u64,
    /// The contents: directories and regular files. FAT cannot store owners, modes and extended
    /// attributes, so they are left out. A hard link becomes a second file. Times are limited to
    /// the years 1980 to 2107 and rounded down to even seconds.
    pub tree: &'a Tree,
}

/// The reason why a FAT file system can't be made.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// Something in the tree cannot be represented in FAT. There is one line for each such problem,
    /// with its path (escaped) and the reason.
    #[error(
        "{} cannot be stored on a FAT boot partition:\n{}",
        entries(.0.len()),
        crate::excerpt::list(.0, "\n")
    )]
    Unrepresentable(Vec<String>),
    /// The files do not fit.
    #[error(
        "the boot partition {label} of {length} bytes has room for {available} bytes of files and \
         directories, but {needed} are needed: increase bootSize by at least {} MiB",
        needed.saturating_sub(*available).div_ceil(crate::layout::MEBIBYTE)
    )]
    TooSmall {
        /// The volume's label.
        label: String,
        /// Bytes that the tree needs, in whole clusters.
        needed: u64,
        /// Total size of all clusters in bytes.
        available: u64,
        /// Length of the partition in bytes.
        length: u64,
    },
    /// The root directory needs more entries than a small FAT has room for.
    #[error(
        "the boot partition {label} needs {slots} entries in its root directory, but a FAT this \
         small has room for {entries}: use fewer or shorter names there, or a bootSize that makes \
         the partition at least 33 MiB"
    )]
    RootFull {
        /// The volume's label.
        label: String,
        /// Entries that the names need. A long name needs several.
        slots: u64,
        /// Entries available.
        entries: u64,
    },
    /// The label contains characters that not every program reads the same way.
    #[error("{0:?} is not a valid FAT label: expected 1 to 11 characters from A-Z, 0-9, _ and -")]
    Label(String),
    /// A program or a system call failed.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

fn entries(count: usize) -> String {
    match count {
        1 => "1 entry".to_owned(),
        more => format!("{more} entries"),
    }
}

/// Makes the file system in a sparse file of `volume.length` bytes in the directory `work`, and
/// returns the path of the file. From 33 MiB on, where there are at least 65,525 clusters, it is
/// FAT32. Below that, `mkfs.fat` selects the type. If `work` contains a file from an earlier call
/// with the same label, that file is overwritten.
///
/// # Errors
/// See [`FatError`].
pub fn make(tools: &Tools, volume: &FatVolume<'_>, work: &Path) -> Result<PathBuf, FatError> {
    check_label(volume.label)?;
    let problems = names::problems(volume.tree);
    if !problems.is_empty() {
        return Err(FatError::Unrepresentable(problems));
    }
    let file = |kind: &str| {
        std::path::absolute(work)
            .context("finding the working directory")
            .map(|work| work.join(format!("{}.{kind}", volume.label)))
    };
    let making = || {
        format!(
            "making the FAT file system {} of {} bytes",
            volume.label, volume.length
        )
    };
    let empty = mkfs::run(tools, volume, &file("mkfs")?).with_context(making)?;
    let placed = place::place(volume.tree, &empty.geometry, empty.label)
        .map_err(FatError::Unrepresentable)?;
    check_room(volume, &empty.geometry, &placed)?;
    let image = file("fat")?;
    write::write(&image, volume.length, &empty, &placed, volume.tree).with_context(making)?;
    Ok(image)
}

fn check_label(label: &str) -> Result<(), FatError> {
    let good = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if (1..=11).contains(&label.len()) && label.bytes().all(good) {
        Ok(())
    } else {
        Err(FatError::Label(label.to_owned()))
    }
}

fn check_room(
    volume: &FatVolume<'_>,
    geometry: &Geometry,
    placed: &Placed,
) -> Result<(), FatError> {
    // usize to u64: lossless on every target Rust has.
    let slots = placed
        .directories
        .first()
        .map_or(0, |root| root.slots.len()) as u64;
    if let Some(entries) = geometry.root_entries
        && slots > entries
    {
        return Err(FatError::RootFull {
            label: volume.label.to_owned(),
            slots,
            entries,
        });
    }
    let clusters = placed.end - FIRST;
    if clusters > geometry.clusters {
        return Err(FatError::TooSmall {
            label: volume.label.to_owned(),
            needed: clusters.saturating_mul(geometry.cluster),
            available: geometry.clusters.saturating_mul(geometry.cluster),
            length: volume.length,
        });
    }
    Ok(())
}
