//! VDI: the format of VirtualBox. A header, the block map with the positions of blocks of 1 MiB, and
//! the blocks.
//!
//! The files are those of `qemu-img convert -O vdi`, apart from the UUIDs, which it would draw at
//! random.

pub(crate) mod ondisk;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use self::ondisk::Header;
use super::dynamic::{self, Arrangement};
use super::identifiers::derived;
use super::length;
use crate::escape;
use crate::image::Image;
use crate::layout::SECTOR;
use crate::spec::Identity;

/// The length of a block in bytes: all that QEMU can read.
const BLOCK: u32 = 1 << 20;

/// The number of blocks of the longest disk that QEMU reads, which is almost 512 TiB: its block map
/// has less than 2 GiB.
const MOST_BLOCKS: u64 = ((1 << 31) - SECTOR) / 4;

/// The length of the longest disk in bytes.
const LONGEST: u64 = MOST_BLOCKS * BLOCK as u64;

/// Writes `image` to the file `path` as a VDI. `progress` is called as by
/// [`crate::image::write_blocks`].
///
/// # Errors
/// Before anything is written, if the disk is too long. If a source cannot be read, or writing
/// fails.
pub(super) fn write(
    image: &Image,
    identity: &Identity,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    length::check(
        image.length,
        LONGEST,
        "QEMU reads a VDI of at most",
        "\"qcow2\"",
    )
    .with_context(|| format!("writing {}", escape::path(path)))?;
    let arrangement = Arrangement {
        disk: image.length,
        block: BLOCK.into(),
        prefix: &[],
        // usize to u64: lossless on every target Rust has.
        table: size_of::<Header>() as u64,
        padding: 0,
        end: 0,
        entry: |index, _| Ok(index.to_le_bytes()),
    };
    let (mut file, allocated) = dynamic::write(image, arrangement, path, progress)?;
    let header = header(&arrangement, allocated, identity)?;
    file.write(header.as_bytes(), 0)?;
    file.finish(arrangement.place(allocated)?)
}

/// The header of a disk with `allocated` blocks in its file.
fn header(arrangement: &Arrangement, allocated: u32, identity: &Identity) -> Result<Header> {
    let offset = |bytes: u64| u32::try_from(bytes).context("the block map is too long");
    let mut text = [0; 64];
    text[..Header::TEXT.len()].copy_from_slice(Header::TEXT);
    Ok(Header {
        text,
        signature: U32::new(Header::SIGNATURE),
        version: U32::new(Header::VERSION),
        header_size: U32::new(Header::SIZE),
        image_type: U32::new(Header::DYNAMIC),
        image_flags: U32::new(0),
        description: [0; 256],
        block_map_offset: U32::new(offset(arrangement.table)?),
        data_offset: U32::new(offset(arrangement.data()?)?),
        cylinders: U32::new(0),
        heads: U32::new(0),
        sectors: U32::new(0),
        sector_size: U32::new(offset(SECTOR)?),
        unused: U32::new(0),
        disk_size: U64::new(arrangement.disk),
        block_size: U32::new(BLOCK),
        block_extra: U32::new(0),
        blocks_in_image: U32::new(arrangement.blocks()?),
        blocks_allocated: U32::new(allocated),
        uuid_image: derived(identity, b"VDI image").into_bytes(),
        uuid_last_snapshot: derived(identity, b"VDI snapshot").into_bytes(),
        uuid_link: [0; 16],
        uuid_parent: [0; 16],
        reserved: [0; 56],
    })
}
