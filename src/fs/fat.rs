//! FAT boot partitions: `mkfs.fat` makes the empty file system, and everything that is put into it
//! is laid out here.
//!
//! The directories are ours because no tool makes all that VFAT can hold, or makes it the same in
//! every version: mtools have no characters outside of Unicode's first plane, take `[` for a
//! pattern, and give names of eight and three characters a long entry or not by what is on their
//! stack.

mod alias;
mod entry;
mod geometry;
mod mkfs;
mod names;
mod ondisk;
mod place;
mod table;
mod write;

pub(crate) use ondisk::BootSector;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::geometry::{FIRST, Geometry};
use self::place::Placed;
use crate::spec::Tools;
use crate::tree::Tree;

/// The longest file, in bytes.
const LARGEST_FILE: u64 = u32::MAX as u64;

/// A FAT file system to be made.
#[derive(Debug, Clone, Copy)]
pub struct FatVolume<'a> {
    /// The label: at most 11 of `A`-`Z`, `0`-`9`, `_` and `-`.
    pub label: &'a str,
    /// The volume ID.
    pub id: u32,
    /// Length in bytes; whole sectors.
    pub length: u64,
    /// The partition's first sector, which goes into the boot sector ("hidden sectors").
    pub first_sector: u64,
    /// What is in it. Directories and regular files; owners, modes and extended attributes have no
    /// place in FAT and are left out, a hard link becomes a second file, and times are cut to
    /// 1980..2107 and to even seconds.
    pub tree: &'a Tree,
}

/// Why a FAT file system can't be made.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// Something in the tree can't be said in FAT: one line for each such thing, with its path
    /// (escaped) and the reason.
    #[error("{} can't be stored on a FAT boot partition:\n{}", count(.0.len()), crate::excerpt::list(.0, "\n"))]
    Unrepresentable(Vec<String>),
    /// The files do not fit.
    #[error(
        "the boot partition {label} is {length} bytes and has room for {available} bytes of files \
         and directories; {needed} are needed: set bootSize to at least {} MiB more",
        needed.saturating_sub(*available).div_ceil(crate::layout::MEBIBYTE)
    )]
    TooSmall {
        /// The volume's label.
        label: String,
        /// Bytes that the tree takes, in whole clusters.
        needed: u64,
        /// Bytes that all clusters have.
        available: u64,
        /// Length of the partition in bytes.
        length: u64,
    },
    /// More names at the top than a small FAT has room for.
    #[error(
        "the boot partition {label} has {slots} directory entries at its top, and the root \
         directory of a FAT this small holds {entries}: use fewer or shorter names, or a bootSize \
         that makes the partition at least 33 MiB"
    )]
    RootFull {
        /// The volume's label.
        label: String,
        /// Entries that the names take, long names several each.
        slots: u64,
        /// Entries there are.
        entries: u64,
    },
    /// The label is not one that every program reads the same.
    #[error("{0:?} is no FAT label: it takes 1 to 11 of A-Z, 0-9, _ and -")]
    Label(String),
    /// A program or a system call failed.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

fn count(things: usize) -> String {
    match things {
        1 => "1 thing".to_owned(),
        more => format!("{more} things"),
    }
}

/// Makes the file system in a sparse file of `volume.length` bytes in the directory `work`, and
/// returns the file. It is FAT32 where there are at least 65,525 clusters, which is from 33 MiB on,
/// else what `mkfs.fat` picks. A file that `work` has from an earlier call with the same label is
/// overwritten.
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
