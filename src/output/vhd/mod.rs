//! VHD: the format of Virtual PC, Hyper-V and Azure ("Virtual Hard Disk Image Format
//! Specification", Microsoft, 2006).
//!
//! A fixed disk is the raw disk with a footer. A dynamic disk begins with a copy of the footer, a
//! header, and the block allocation table (BAT) with the offsets of blocks of 2 MiB. Each block is
//! preceded by a bitmap of its sectors.
//!
//! The files are those of `qemu-img convert -O vpc -o force_size=on`, apart from the UUID and the
//! time: it would draw the first at random and take the second from the clock.

pub(crate) mod ondisk;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use zerocopy::IntoBytes;
use zerocopy::big_endian::{U16, U32, U64};

use self::ondisk::{DynamicHeader, Footer, NONE, VERSION, checksum};
use super::dynamic::{self, Arrangement};
use super::identifiers::derived;
use super::length;
use crate::code::Code;
use crate::image::{self, Image};
use crate::layout::{MEBIBYTE, SECTOR};
use crate::spec::Identity;
use crate::{escape, untrusted};

/// The length in bytes of the longest disk: 2040 GiB. The offsets in a table for a longer one would
/// not fit in 32 bits.
const LONGEST: u64 = 2040 << 30;

/// The length in bytes of a block of a dynamic disk: the specification's default, which is all that
/// some readers know.
const BLOCK: u32 = 2 << 20;

/// The bitmap of a block: each sector is in this file.
const BITMAP: [u8; 512] = [0xff; 512];

/// Writes `image` to the file `path` as a dynamic VHD. `progress` is called as by
/// [`image::write_blocks`].
///
/// # Errors
/// Before anything is written, if the disk is too long. If a source cannot be read, or writing
/// fails.
pub(super) fn write_dynamic(
    image: &Image,
    identity: &Identity,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    check(image.length).with_context(|| format!("writing {}", escape::path(path)))?;
    // In the order of the file.
    let header_at = size_of::<Footer>();
    let table_at = header_at + size_of::<DynamicHeader>();
    // usize to u64: lossless on every target Rust has.
    let (header_at, table_at) = (header_at as u64, table_at as u64);
    let arrangement = Arrangement {
        disk: image.length,
        block: BLOCK.into(),
        prefix: &BITMAP,
        table: table_at,
        padding: 0xff,
        // usize to u64: lossless on every target Rust has.
        end: size_of::<Footer>() as u64,
        entry: |_, offset| Ok(u32::try_from(offset / SECTOR)?.to_be_bytes()),
    };
    let (mut file, allocated) = dynamic::write(image, arrangement, path, progress)?;
    let footer = footer(image.length, Footer::DYNAMIC, header_at, identity);
    let header = dynamic_header(table_at, arrangement.blocks()?);
    file.write(footer.as_bytes(), 0)?;
    file.write(header.as_bytes(), header_at)?;
    let end = arrangement.place(allocated)?;
    file.write(footer.as_bytes(), end)?;
    file.finish(end.saturating_add(arrangement.end))
}

/// Writes `image` to the file `path` as a fixed VHD. `progress` is called as by [`image::write()`].
///
/// # Errors
/// Before anything is written, if the disk is too long or Azure would not take it. If a source
/// cannot be read, or writing fails.
pub(super) fn write_fixed(
    image: &Image,
    identity: &Identity,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let context = || format!("writing {}", escape::path(path));
    check(image.length)
        .and_then(|()| check_azure(image.length))
        .with_context(context)?;
    image::write(image, path, progress)?;
    let footer = footer(image.length, Footer::FIXED, NONE, identity);
    let footer = footer.as_bytes();
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(untrusted::FLAGS.bits())
        .open(path)
        .with_context(context)?;
    file.write_all_at(footer, image.length).map_err(|error| {
        let need = || format!("the footer needs {} bytes", footer.len());
        // usize to u64: lossless on every target Rust has.
        let length = image.length.saturating_add(footer.len() as u64);
        image::write_failed(error, &file, path, length, need)
    })
}

/// Checks that a VHD can contain a disk of `length` bytes.
fn check(length: u64) -> Result<()> {
    let others = "\"vhdx\" or \"qcow2\"";
    length::check(length, LONGEST, "a VHD has at most", others)
}

/// Checks that Azure takes a fixed VHD of `length` bytes.
fn check_azure(length: u64) -> Result<()> {
    match length.is_multiple_of(MEBIBYTE) {
        true => Ok(()),
        false => Err(Code::DiskSize.error(format!(
            "the disk has {length} bytes, which is not a whole number of MiB, so Azure would not take \
             it; set diskSize to at least {}",
            length.div_ceil(MEBIBYTE)
        ))),
    }
}

/// The footer of a disk of `length` bytes.
fn footer(length: u64, disk_type: u32, data_offset: u64, identity: &Identity) -> Footer {
    let time_stamp = match identity.deterministic {
        true => 0,
        // A time that the field cannot express is as good as none.
        false => u32::try_from(identity.time.saturating_sub(Footer::EPOCH)).unwrap_or(0),
    };
    let mut footer = Footer {
        cookie: Footer::COOKIE,
        features: U32::new(Footer::RESERVED_FEATURE),
        file_format_version: U32::new(VERSION),
        data_offset: U64::new(data_offset),
        time_stamp: U32::new(time_stamp),
        // QEMU's name for itself in disks whose length is `current_size`: by the names of its
        // earlier versions and of Virtual PC, it would be what the geometry contains.
        creator_application: *b"qem2",
        creator_version: U32::new(0x0005_0003),
        creator_host_os: *b"Wi2k",
        original_size: U64::new(length),
        current_size: U64::new(length),
        cylinders: U16::new(u16::MAX),
        heads: 16,
        sectors_per_track: u8::MAX,
        disk_type: U32::new(disk_type),
        checksum: U32::new(0),
        unique_id: derived(identity, b"VHD").into_bytes(),
        saved_state: 0,
        reserved: [0; 427],
    };
    footer.checksum = checksum(footer.as_bytes());
    footer
}

/// The header of a dynamic disk with `blocks` blocks and its table at `table`, in bytes.
fn dynamic_header(table: u64, blocks: u32) -> DynamicHeader {
    let mut header = DynamicHeader {
        cookie: DynamicHeader::COOKIE,
        data_offset: U64::new(NONE),
        table_offset: U64::new(table),
        header_version: U32::new(VERSION),
        max_table_entries: U32::new(blocks),
        block_size: U32::new(BLOCK),
        checksum: U32::new(0),
        parent: [0; 728],
        reserved: [0; 256],
    };
    header.checksum = checksum(header.as_bytes());
    header
}
