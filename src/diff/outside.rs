//! Compares bytes outside of partitions, and partitions without files.

use std::ops::Range;

use anyhow::Result;

use super::found::{Difference, Findings, Layer};
use super::table::BOOT_CODE;
use super::{Image, Pair, bytes, contents};
use crate::partitions::Kind;
use crate::volume::{Region, Volume};

/// The bytes that differ in some range.
#[derive(Default)]
struct Count {
    first: Option<(u64, Vec<String>)>,
    bytes: u64,
}

/// Counts the bytes of both regions that differ in `range`.
fn count(regions: [&Region<'_>; 2], range: Range<u64>) -> Result<Count> {
    let mut found = Count::default();
    bytes::each(regions, range, &mut |at, buffers| {
        let first = || (at, contents::hex(0, buffers, at));
        found.first.get_or_insert_with(first);
        // usize to u64: lossless on every target Rust has.
        found.bytes = found.bytes.saturating_add(buffers[0].len() as u64);
    })?;
    Ok(found)
}

impl Count {
    fn add(self, layer: Layer, partition: Option<u32>, place: String, findings: &mut Findings) {
        let Some((first, details)) = self.first else {
            return;
        };
        let bytes = match self.bytes {
            1 => "1 byte differs".to_owned(),
            bytes => format!("{bytes} bytes differ"),
        };
        findings.add(Difference {
            layer,
            partition,
            place,
            property: Some(format!("{bytes}, the first is byte {first}")),
            a: None,
            b: None,
            details,
        });
    }
}

/// Compares the bytes of a partition whose files cannot be read, or that has none.
///
/// # Errors
/// If an image cannot be read.
pub fn partition(pair: &Pair<'_>, findings: &mut Findings) -> Result<()> {
    let length = pair.a.length().min(pair.b.length());
    let found = count([&pair.regions[0], &pair.regions[1]], 0..length)?;
    let kind = |volume: &Option<Volume>| volume.as_ref().map(|it| it.kind);
    let is_boot_code = ["bios-boot", "prep"].contains(&pair.a.role);
    let (layer, place) = match (is_boot_code, kind(&pair.volumes[0])) {
        (true, _) => (Layer::BootCode, "boot code".to_owned()),
        (false, Some(kind)) => (Layer::Bytes, format!("somewhere in the {kind} file system")),
        (false, None) => (
            Layer::Bytes,
            "contents, which are no known file system".to_owned(),
        ),
    };
    found.add(layer, Some(pair.number()), place, findings);
    Ok(())
}

/// A range of the disk with a meaning.
type Named = (Range<u64>, String);

/// Compares the bytes outside of partitions.
///
/// # Errors
/// If an image cannot be read.
pub fn compare(a: &Image, b: &Image, findings: &mut Findings) -> Result<()> {
    let whole = |image: &Image| -> Vec<(u64, u64)> {
        let partitions = image.table.by_start();
        partitions.iter().map(|it| (it.start, it.end)).collect()
    };
    if a.table.kind != b.table.kind {
        findings.note(
            "the kinds of partition table differ, so the bytes outside of partitions are \
                       not compared"
                .to_owned(),
        );
        return Ok(());
    }
    if a.table.kind == Kind::None {
        return Ok(());
    }
    if whole(a) != whole(b) || a.disk.length != b.disk.length {
        findings.note(
            "partitions are in other places, so only the first sectors outside of them are \
                       compared"
                .to_owned(),
        );
    }
    let [first, second] = [a, b].map(|image| Region {
        disk: &image.disk,
        start: 0,
        length: image.disk.length,
    });
    for (range, place) in ranges(a, b) {
        let found = count([&first, &second], range)?;
        found.add(Layer::Bytes, None, place, findings);
    }
    Ok(())
}

/// The ranges outside of the partitions of both images. If the partitions are in other places, these
/// end before the first one.
fn ranges(a: &Image, b: &Image) -> Vec<Named> {
    let end = a.disk.length.min(b.disk.length);
    let places = |image: &Image| -> Vec<(u64, u64)> {
        let partitions = image.table.by_start();
        partitions.iter().map(|it| (it.start, it.end)).collect()
    };
    let (first, second) = (places(a), places(b));
    let mut gaps = Vec::new();
    let mut position = 0;
    if first == second && a.disk.length == b.disk.length {
        for ((start, stop), partition) in first.iter().zip(a.table.by_start()) {
            gaps.push((
                position..*start,
                format!("between partitions, before {}", partition.title()),
            ));
            position = *stop;
        }
        gaps.push((position..end, "after the last partition".to_owned()));
    } else {
        let start = |places: &[(u64, u64)]| places.first().map_or(end, |(start, _)| *start);
        gaps.push((
            0..start(&first).min(start(&second)),
            "before the first partition".to_owned(),
        ));
    }
    let known = structures(a);
    let mut ranges = Vec::new();
    for (gap, name) in gaps {
        let mut position = gap.start;
        for (range, place) in &known {
            let (from, to) = (range.start.max(gap.start), range.end.min(gap.end));
            if from >= to || from < position {
                continue;
            }
            ranges.push((position..from, name.clone()));
            ranges.push((from..to, place.clone()));
            position = to;
        }
        ranges.push((position..gap.end, name));
    }
    ranges.retain(|(range, place)| range.start < range.end && !place.is_empty());
    ranges
}

/// The structures of the partition table, in the order of the disk. Those that the other layers compare
/// have no name.
fn structures(image: &Image) -> Vec<Named> {
    let sector = image.table.sector;
    if image.table.kind == Kind::None {
        return Vec::new();
    }
    // usize to u64: lossless on every target Rust has.
    let code = BOOT_CODE as u64;
    let mut found = vec![(0..code, String::new())];
    let named = |range: Range<u64>, name: &str| (range, name.to_owned());
    match image.table.kind {
        Kind::Mbr => {
            found.push(named(440..444, ""));
            found.push(named(444..446, "MBR: copy protection"));
            found.push(named(
                446..510,
                "MBR: partition entries, such as addresses in cylinders",
            ));
            found.push(named(510..512, "MBR: boot signature"));
        }
        _ => {
            let entries = image.table.facts.number("entries").unwrap_or(128);
            let size = image.table.facts.number("entry_size").unwrap_or(128);
            let length = entries.saturating_mul(size).next_multiple_of(sector);
            let header = sector.saturating_mul(2);
            let last = (image.disk.length / sector)
                .saturating_sub(1)
                .saturating_mul(sector);
            found.push(named(440..446, "protective MBR: disk signature"));
            found.push(named(446..510, "protective MBR: partition entries"));
            found.push(named(510..sector, "protective MBR: boot signature"));
            found.push(named(sector..header, "GPT header"));
            found.push(named(header..header.saturating_add(length), "GPT entries"));
            found.push(named(
                last.saturating_sub(length)..last,
                "copy of the GPT entries",
            ));
            found.push(named(
                last..last.saturating_add(sector),
                "copy of the GPT header",
            ));
        }
    }
    found
}
