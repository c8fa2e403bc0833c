//! VMDK files: `monolithicSparse`, as `qemu-img` makes it, and `streamOptimized`, which has compressed
//! grains and is written from its beginning to its end.
//!
//! "Virtual Disk Format 5.0" (VMware), sections "Hosted Sparse Extents" and "Stream-Optimized
//! Compressed Sparse Extents". A disk consists of grains. A grain table has the sector of the file
//! where each of 512 grains begins, or 0 for a grain of zeros. The grain directory has the sector of
//! each grain table.

mod descriptor;
pub(crate) mod ondisk;
mod sparse;
mod stream;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result, ensure};

pub(super) use sparse::write_sparse;
pub(super) use stream::write_stream;

use crate::code::{Code, WithCode};
use crate::escape;
use crate::layout::SECTOR;
use crate::output::length;

/// Sectors of a grain, as in files of VMware and `qemu-img`.
const GRAIN_SECTORS: u64 = 128;

/// Bytes of a grain.
const GRAIN: usize = 64 << 10;

/// Entries of a grain table.
const TABLE_ENTRIES: u32 = 512;

/// Sectors of a grain table.
const TABLE_SECTORS: u64 = 4;

/// Entries of the grain directory in a sector.
const ENTRIES_PER_SECTOR: u64 = 128;

/// The sector of the descriptor.
const DESCRIPTOR: u64 = 1;

/// Sectors of the descriptor, as in `qemu-img`.
const DESCRIPTOR_SECTORS: u64 = 20;

/// The number of sectors that grain tables and directories can address. It limits the length of the
/// file, not that of the disk.
const MOST_SECTORS: u64 = 1 << 32;

/// The length of the longest disk in bytes, almost 256 TiB: VMware's programs count its grains with 32
/// bits.
const LONGEST: u64 = u32::MAX as u64 * GRAIN as u64;

/// The length of a disk, in the units of the format.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Sectors.
    sectors: u64,
    /// Grains, the last of which may extend beyond the disk.
    grains: u64,
    /// Grain tables: entries of the grain directory.
    tables: u64,
    /// Sectors of the grain directory.
    directory_sectors: u64,
}

impl Size {
    /// Converts the length of a disk from bytes. `path` is the file, for messages.
    ///
    /// # Errors
    /// If a VMDK cannot contain such a disk.
    fn of(length: u64, path: &Path) -> Result<Size> {
        Size::check(length).with_context(|| format!("writing {}", escape::path(path)))
    }

    fn check(length: u64) -> Result<Size> {
        // Without grains, the header stands for the files that the descriptor names.
        ensure!(length > 0, "the disk is empty");
        length::check(length, LONGEST, "a VMDK has at most", "\"qcow2\"")?;
        let sectors = length / SECTOR;
        let grains = sectors.div_ceil(GRAIN_SECTORS);
        let tables = grains.div_ceil(TABLE_ENTRIES.into());
        Ok(Size {
            sectors,
            grains,
            tables,
            directory_sectors: tables.div_ceil(ENTRIES_PER_SECTOR),
        })
    }
}

/// Returns `sector` of the file `path` as an entry of a grain table or directory.
///
/// # Errors
/// If it has more than 32 bits: there are too many data.
fn entry(sector: u64, path: &Path) -> Result<u32> {
    u32::try_from(sector)
        .ok()
        .with_context(|| too_large(path))
        .code(Code::DiskSize)
}

/// The message for more data than the file `path` can contain.
fn too_large(path: &Path) -> String {
    format!(
        "writing {}: the image does not fit in a VMDK, which has at most {} bytes (2 TiB); put less \
         into it, or use another format, such as \"qcow2\"",
        escape::path(path),
        MOST_SECTORS * SECTOR
    )
}
