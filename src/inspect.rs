//! What is in a raw disk image, for people: the partitions, the file systems, and a hash of each
//! part, so that of two images that should be equal one sees which part is not.

mod contents;
mod table;

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::escape;
use crate::layout::SECTOR;
use table::{Found, Table};

/// Describes the raw disk image `path`.
///
/// # Errors
/// If it can't be read, is in another format than raw, or its partition table is damaged.
pub fn describe(path: &Path) -> Result<String> {
    let shown = escape::path(path);
    let file = File::open(path).with_context(|| format!("opening {shown}"))?;
    let length = file
        .metadata()
        .with_context(|| format!("looking at {shown}"))?
        .len();
    if let Some(format) = other_format(&file).with_context(|| format!("reading {shown}"))? {
        bail!(
            "{shown} is a {format} image and only raw ones can be inspected: make one with \
             qemu-img convert -O raw"
        );
    }
    let table = Table::read(&file, length).with_context(|| format!("reading {shown}"))?;
    text(&file, length, &table).with_context(|| format!("reading {shown}"))
}

fn text(file: &File, length: u64, table: &Table) -> Result<String> {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(out, "disk: {length} bytes, {}", table.description);
    let mut rest = Sha256::new();
    let mut position = 0;
    let mut by_start: Vec<&Found> = table.partitions.iter().collect();
    by_start.sort_by_key(|partition| partition.start);
    for partition in by_start {
        hash(file, position, partition.start.max(position), &mut rest)?;
        position = partition.end.min(length).max(position);
    }
    hash(file, position, length, &mut rest)?;
    for partition in &table.partitions {
        let (start, end) = (partition.start, partition.end);
        if end > length {
            bail!(
                "partition {} ends at byte {end} and the image at {length}: it was cut off",
                partition.number
            );
        }
        let _ = writeln!(
            out,
            "partition {}: sectors {}-{}, {}",
            partition.number,
            start / SECTOR,
            (end / SECTOR).saturating_sub(1),
            partition.description
        );
        let _ = writeln!(out, "  {}", contents::describe(file, start, end)?);
        let mut sum = Sha256::new();
        hash(file, start, end, &mut sum)?;
        let _ = writeln!(out, "  sha256 {}", hex(sum));
    }
    let _ = writeln!(out, "table, boot code and gaps:\n  sha256 {}", hex(rest));
    Ok(out)
}

/// The image formats that QEMU's users have, by the bytes they begin with.
fn other_format(file: &File) -> io::Result<Option<&'static str>> {
    let mut start = [0; 68];
    let count = file.read_at(&mut start, 0)?;
    let start = &start[..count];
    let formats = [
        (0, &b"QFI\xfb"[..], "qcow2"),
        (0, b"conectix", "vpc"),
        (0, b"vhdxfile", "vhdx"),
        (0, b"KDMV", "vmdk"),
        (0x40, b"\x7f\x10\xda\xbe", "vdi"),
    ];
    let is = |&(at, magic, _): &(usize, &[u8], &str)| {
        start.get(at..).is_some_and(|rest| rest.starts_with(magic))
    };
    Ok(formats
        .iter()
        .find(|format| is(format))
        .map(|format| format.2))
}

fn hash(file: &File, start: u64, end: u64, sum: &mut Sha256) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut position = start;
    while position < end {
        let most = usize::try_from(end - position).unwrap_or(usize::MAX);
        let want = most.min(buffer.len());
        file.read_exact_at(&mut buffer[..want], position)?;
        sum.update(&buffer[..want]);
        // usize to u64: lossless on every target Rust has.
        position += want as u64;
    }
    Ok(())
}

fn hex(sum: Sha256) -> String {
    data_encoding::HEXLOWER.encode(&sum.finalize())
}
