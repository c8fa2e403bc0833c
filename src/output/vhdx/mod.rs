//! Dynamic VHDX files, as `qemu-img` makes them.
//!
//! "\[MS-VHDX\]: Virtual Hard Disk v2 (VHDX) File Format", from which all section numbers are. The disk
//! consists of payload blocks, and the block allocation table (BAT) has the state and the place of each.
//! A payload block is in the file from its first to its last byte, but is a hole where it has only
//! zeros.

mod layout;
pub(crate) mod ondisk;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use crate::escape;
use crate::image::Image;
use crate::output::dynamic::blocks::{self, Placement};
use crate::output::length;
use crate::spec::Identity;
use layout::{BAT, Layout};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// The longest disk, in bytes (section 2.6.2.2).
const LONGEST: u64 = 64 * TIB;

/// State of a payload block that is in the file. The other bits of the entry are its offset in the file,
/// a multiple of a mebibyte.
const FULLY_PRESENT: u64 = 6;

/// Writes `image` to the file `path`, which is created or truncated first. `progress` is that of
/// [`crate::image::write_blocks`].
///
/// # Errors
/// If the format has no room for the disk, and those of [`crate::image::write_blocks`].
pub(super) fn write(
    image: &Image,
    identity: &Identity,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    length::check(image.length, LONGEST, "a VHDX has at most", "\"qcow2\"")
        .with_context(|| format!("writing {}", escape::path(path)))?;
    let layout = Layout::new(image.length);
    let placement = Placement {
        disk: image.length,
        data: layout.payload,
        block: layout.block,
        prefix: &[],
    };
    let payload = layout.payload_blocks.saturating_mul(layout.block);
    let longest = layout.payload.saturating_add(payload);
    let mut blocks = blocks::write(image, placement, longest, path, progress)?;
    let end = blocks.end()?;
    let bat = bat(&layout, &placement, &blocks.allocated)?;
    layout.write(&mut blocks.file, identity)?;
    blocks.file.write(bat.as_bytes(), BAT)?;
    blocks.file.finish(end)
}

/// The BAT of a file with the payload blocks `allocated`, which are numbers on the disk.
fn bat(layout: &Layout, placement: &Placement, allocated: &[u32]) -> Result<Vec<U64>> {
    let mut bat = layout.bat_of_zeros()?;
    for (index, number) in (0..).zip(allocated) {
        let entry = usize::try_from(layout.bat_index(u64::from(*number)))?;
        bat[entry] = U64::new(placement.place(index)? | FULLY_PRESENT);
    }
    Ok(bat)
}
