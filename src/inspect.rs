//! Describes a raw disk image: its partitions and file systems, and a hash of each part. If two
//! images should be equal and are not, the hashes show which part differs.

mod contents;
mod disk;
mod gpt;
mod mbr;
mod table;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::layout::SECTOR;
use crate::output::BEGINNING;
use crate::{escape, output};
use disk::Disk;
use table::{Found, Table};

/// Describes the raw disk image `path`.
///
/// # Errors
/// If it cannot be read, is not in raw format, or has a damaged partition table.
pub fn describe(path: &Path) -> Result<String> {
    let shown = escape::path(path);
    read(path, &shown).with_context(|| format!("inspecting {shown}"))
}

fn read(path: &Path, shown: &str) -> Result<String> {
    let disk = Disk::open(path)?;
    if let Some(format) = other_format(&disk)? {
        bail!(
            "{shown} is a {format} image, but only raw images can be inspected; convert it with \
             qemu-img convert -O raw"
        );
    }
    text(&disk, &table(&disk)?)
}

/// Reads the partition table of `disk`. If there is none, the whole disk is the only partition.
fn table(disk: &Disk) -> Result<Table> {
    let length = disk.length;
    ensure!(
        length >= SECTOR,
        "too small for a disk image: {length} bytes"
    );
    let Some(header) = mbr::read(disk)? else {
        return Ok(Table {
            description: "no partition table".to_owned(),
            partitions: vec![Found {
                number: 0,
                start: 0,
                end: length,
                description: "the whole disk".to_owned(),
            }],
        });
    };
    let table = match mbr::is_protective(&header) {
        true => gpt::read(disk).context("reading the GUID partition table")?,
        false => mbr::table(&header),
    };
    table.check(disk)?;
    Ok(table)
}

fn text(disk: &Disk, table: &Table) -> Result<String> {
    let length = disk.length;
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(out, "disk: {length} bytes, {}", table.description);
    let mut rest = Sha256::new();
    let mut position = 0;
    let mut by_start: Vec<&Found> = table.partitions.iter().collect();
    by_start.sort_by_key(|partition| partition.start);
    for partition in by_start {
        hash(disk, position, partition.start, &mut rest)?;
        position = partition.end;
    }
    hash(disk, position, length, &mut rest)?;
    for partition in &table.partitions {
        let (start, end) = (partition.start, partition.end);
        let _ = writeln!(
            out,
            "partition {}: sectors {}-{}, {}",
            partition.number,
            start / SECTOR,
            (end / SECTOR).saturating_sub(1),
            partition.description
        );
        let _ = writeln!(out, "  {}", contents::describe(disk, start, end)?);
        let mut sum = Sha256::new();
        hash(disk, start, end, &mut sum)?;
        let _ = writeln!(out, "  sha256 {}", hex(sum));
    }
    let _ = writeln!(out, "table, boot code and gaps:\n  sha256 {}", hex(rest));
    Ok(out)
}

/// The format of the image, if it is not raw.
fn other_format(disk: &Disk) -> Result<Option<&'static str>> {
    let mut start = [0; BEGINNING];
    let count = usize::try_from(disk.length).map_or(start.len(), |length| length.min(start.len()));
    disk.read(0, &mut start[..count], "the first bytes")?;
    Ok(output::format_of(&start[..count]))
}

fn hash(disk: &Disk, start: u64, end: u64, sum: &mut Sha256) -> Result<()> {
    let most = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    let mut buffer = vec![0; most.min(1 << 20)];
    let mut position = start;
    while position < end {
        let most = usize::try_from(end - position).unwrap_or(usize::MAX);
        let want = most.min(buffer.len());
        disk.read(position, &mut buffer[..want], "the data to hash")?;
        sum.update(&buffer[..want]);
        // usize to u64: lossless on every target Rust has.
        position += want as u64;
    }
    Ok(())
}

fn hex(sum: Sha256) -> String {
    data_encoding::HEXLOWER.encode(&sum.finalize())
}
