//! Reads VHD ("Virtual Hard Disk Image Format Specification", Microsoft, 2006): dynamic and fixed disks.

use anyhow::{Context, Result, bail, ensure};
use uuid::Uuid;
use zerocopy::big_endian::U32;
use zerocopy::{Immutable, IntoBytes};

use super::claims::{Claims, MOST_ENTRIES};
use super::file::ImageFile;
use super::raw::Raw;
use super::{Extent, Facts, Map, Opened, rest_of_block};
use crate::escape;
use crate::output::vhd::ondisk::{DynamicHeader, Footer, checksum};

/// The length of the footer in bytes.
const FOOTER: u64 = 512;

/// The length of a sector in bytes.
const SECTOR: u64 = 512;

/// The table entry of a block that is zeros.
const ABSENT: u32 = u32::MAX;

/// Programs whose disks are as long as the geometry says. Other programs write a geometry that rounds
/// the length, and `current_size` is the length (`block/vpc.c` of QEMU).
const BY_GEOMETRY: [&[u8; 4]; 3] = [b"vpc ", b"vs  ", b"qemu"];

/// Cylinders, heads and sectors per track of the largest geometry, which says nothing about the length.
const LARGEST: u64 = 65_535 * 16 * 255;

/// What messages call an entry of the table.
const ENTRY: &str = "an entry of the block allocation table";

/// Where blocks are.
struct Blocks {
    table: u64,
    block: u64,
    /// The length in bytes of the bitmap before each block, which says which sectors were written. The
    /// others are zeros in the file, too.
    bitmap: u64,
    count: u64,
}

/// Whether `file` is a VHD: it ends with a footer, or begins with a copy of it.
///
/// # Errors
/// If it cannot be read.
pub fn is_vhd(file: &ImageFile) -> Result<bool> {
    if file.length < FOOTER {
        return Ok(false);
    }
    let starts = |at| -> Result<bool> {
        let mut cookie = [0; 8];
        file.read(at, &mut cookie, "a signature")?;
        Ok(cookie == Footer::COOKIE)
    };
    // A raw disk may end with anything, but hardly with a valid footer.
    Ok(starts(0)? || footer(file, file.length.saturating_sub(FOOTER)).is_ok())
}

/// Reads the footer, or its copy, at `at`.
fn footer(file: &ImageFile, at: u64) -> Result<Footer> {
    let mut footer: Footer = file.structure(at, "the footer")?;
    ensure!(footer.cookie == Footer::COOKIE, "there is no footer");
    verify(&mut footer, |it| &mut it.checksum).context("checking the footer")?;
    Ok(footer)
}

/// Checks the checksum of a structure, which is the field that `field` returns.
fn verify<T: IntoBytes + Immutable>(
    structure: &mut T,
    field: impl Fn(&mut T) -> &mut U32,
) -> Result<()> {
    let found = std::mem::replace(field(structure), U32::new(0));
    let expected = checksum(structure.as_bytes());
    *field(structure) = found;
    ensure!(
        found == expected,
        "its checksum is {found:#x}, but should be {expected:#x}: the file is damaged"
    );
    Ok(())
}

/// Opens `file`.
///
/// # Errors
/// See [`super::detect::Kind::open`].
pub fn open(file: &ImageFile) -> Result<Opened> {
    let footer = footer(file, file.length.saturating_sub(FOOTER))
        .or_else(|error| footer(file, 0).map_err(|_| error))?;
    let length = length(&footer);
    let mut facts = Facts::default();
    facts.add("format", "vpc");
    let creator = escape::bytes(footer.creator_application.trim_ascii_end());
    let variant = match footer.disk_type.get() {
        Footer::FIXED => "fixed",
        Footer::DYNAMIC => "dynamic",
        4 => bail!("it is a differencing disk, which is incomplete without its parent"),
        other => bail!("the disk type {other} is not known"),
    };
    facts.add("variant", variant);
    facts.add("uuid", Uuid::from_bytes(footer.unique_id).to_string());
    facts.add("creator", creator);
    facts.add(
        "time",
        i64::from(footer.time_stamp.get()).saturating_add(Footer::EPOCH),
    );
    let map: Box<dyn Map> = match footer.disk_type.get() {
        Footer::FIXED => {
            file.check(0, length.saturating_add(FOOTER), "the disk with its footer")?;
            Box::new(Raw::default())
        }
        _ => {
            let blocks = Blocks::open(file, footer.data_offset.get(), length)?;
            facts.add("block_size", blocks.block);
            Box::new(blocks)
        }
    };
    Ok(Opened {
        map,
        length,
        sector: Some(SECTOR),
        facts,
    })
}

/// The length of the disk in bytes.
fn length(footer: &Footer) -> u64 {
    let geometry = u64::from(footer.cylinders.get())
        .saturating_mul(footer.heads.into())
        .saturating_mul(footer.sectors_per_track.into());
    let by_geometry = BY_GEOMETRY.contains(&&footer.creator_application);
    match by_geometry && geometry != LARGEST {
        true => geometry.saturating_mul(SECTOR),
        false => footer.current_size.get(),
    }
}

impl Blocks {
    fn open(file: &ImageFile, at: u64, length: u64) -> Result<Blocks> {
        let mut header: DynamicHeader = file.structure(at, "the dynamic disk header")?;
        ensure!(
            header.cookie == DynamicHeader::COOKIE,
            "there is no dynamic disk header at byte {at}"
        );
        verify(&mut header, |it| &mut it.checksum).context("checking the dynamic disk header")?;
        let block = u64::from(header.block_size.get());
        ensure!(
            (SECTOR..=1 << 30).contains(&block) && block.is_power_of_two(),
            "the dynamic disk header declares blocks of {block} bytes"
        );
        let needed = length.div_ceil(block);
        let count = u64::from(header.max_table_entries.get());
        ensure!(
            count >= needed,
            "the block allocation table has {count} entries, but {needed} are needed for a disk of \
             {length} bytes"
        );
        let blocks = Blocks {
            table: header.table_offset.get(),
            block,
            bitmap: (block / SECTOR).div_ceil(8).next_multiple_of(SECTOR),
            count: needed,
        };
        let table = needed.saturating_mul(4);
        file.check(blocks.table, table, "the block allocation table")?;
        blocks.check(file)?;
        Ok(blocks)
    }

    /// Checks that no two blocks are in the same place.
    fn check(&self, file: &ImageFile) -> Result<()> {
        let mut claims = Claims::new(file.length, SECTOR, 0);
        let unit = self.bitmap.saturating_add(self.block);
        let count = self.count.min(MOST_ENTRIES);
        file.each_entry(self.table, count, ENTRY, &mut |number, entry| {
            let Some(start) = self.start(file, number, u32::from_be_bytes(entry))? else {
                return Ok(false);
            };
            let start = start.saturating_sub(self.bitmap);
            // Blocks need not be aligned to anything but sectors.
            let length = unit.min(file.length.saturating_sub(start));
            claims.claim(start, length, &|| format!("block {number} of the disk"))?;
            Ok(true)
        })
    }

    /// Where a block of the disk begins in the file, in bytes, unless it is zeros.
    fn start(&self, file: &ImageFile, number: u64, entry: u32) -> Result<Option<u64>> {
        if entry == ABSENT {
            return Ok(None);
        }
        let start = u64::from(entry)
            .saturating_mul(SECTOR)
            .saturating_add(self.bitmap);
        ensure!(
            start < file.length,
            "block {number} of the disk begins at byte {start} of the file, which ends at {}: it is \
             truncated or damaged",
            file.length
        );
        Ok(Some(start))
    }
}

impl Map for Blocks {
    fn extent(&self, file: &ImageFile, at: u64) -> Result<Extent> {
        let number = at / self.block;
        let entry = u32::from_be_bytes(file.entry(self.table, number, ENTRY)?);
        let start = self.start(file, number, entry)?;
        Ok(rest_of_block(at, self.block, start))
    }
}
