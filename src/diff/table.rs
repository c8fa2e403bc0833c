//! Compares containers, partition tables and boot code.

use anyhow::Result;

use super::found::{Difference, Findings, Layer};
use super::{Image, bytes, contents, facts, is_code};
use crate::container::Facts;
use crate::partitions::{Kind, Partition};

/// What makes two files files of different formats.
const FORMAT: [&str; 4] = ["format", "variant", "compressed", "compression_type"];

/// The length of the boot code in an MBR, in bytes.
pub const BOOT_CODE: usize = 440;

/// Whether two files have the same format.
fn same_format(a: &Facts, b: &Facts) -> bool {
    FORMAT.iter().all(|name| a.get(name) == b.get(name))
}

/// The format of a file for people.
fn format(facts: &Facts) -> String {
    let mut words = vec![facts.text("format").to_owned()];
    match facts.text("variant") {
        "" => {}
        variant => words.push(variant.to_owned()),
    }
    if facts
        .get("compressed")
        .is_some_and(|it| it.as_bool() == Some(true))
    {
        words.push("compressed".to_owned());
        match facts.text("compression_type") {
            "" => {}
            method => words.push(format!("with {method}")),
        }
    }
    words.join(" ")
}

/// Compares containers, partition tables and the code in the first sector.
///
/// # Errors
/// If an image cannot be read.
pub fn compare(a: &Image, b: &Image, findings: &mut Findings) -> Result<()> {
    let containers = [&a.disk.facts, &b.disk.facts];
    match same_format(containers[0], containers[1]) {
        true => facts::compare(Layer::Container, None, "header", containers, findings),
        false => findings.note(format!(
            "the formats are {} and {}, so their headers are not compared",
            format(containers[0]),
            format(containers[1])
        )),
    }
    let layer = Layer::Table;
    let lengths = [a.disk.length, b.disk.length].map(|length| length.to_string());
    findings.property(layer, None, "disk", "length", [&lengths[0], &lengths[1]]);
    let (first, second) = (&a.table, &b.table);
    let kinds = [first.kind.name(), second.kind.name()];
    findings.property(layer, None, "disk", "partition table", kinds);
    findings.property(layer, None, "disk", "identifier", [&first.id, &second.id]);
    let sectors = [first.sector, second.sector].map(|sector| sector.to_string());
    findings.property(
        layer,
        None,
        "disk",
        "sector size",
        [&sectors[0], &sectors[1]],
    );
    facts::compare(layer, None, "disk", [&first.facts, &second.facts], findings);
    let damage = [first, second].map(|it| {
        it.damage
            .as_ref()
            .map(|it| it.0.clone())
            .unwrap_or_default()
    });
    findings.property(layer, None, "disk", "problem", [&damage[0], &damage[1]]);
    if first.kind == Kind::None && second.kind == Kind::None {
        return Ok(());
    }
    partitions(a, b, findings);
    boot_code(a, b, findings)
}

/// Compares the entries of partitions, by number.
fn partitions(a: &Image, b: &Image, findings: &mut Findings) {
    let of = |image: &Image, number| -> Option<Partition> {
        image
            .table
            .partitions
            .iter()
            .find(|it| it.number == number)
            .cloned()
    };
    let all = a.table.partitions.iter().chain(&b.table.partitions);
    let mut numbers: Vec<u32> = all.map(|partition| partition.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        let layer = Layer::Table;
        let (a, b) = match (of(a, number), of(b, number)) {
            (Some(a), Some(b)) => (a, b),
            (a, b) => {
                let in_first = a.is_some();
                if let Some(it) = a.or(b) {
                    let description = format!("{}, {} bytes", it.kind_name, it.length());
                    findings.only(layer, None, &it.title(), description, in_first);
                }
                continue;
            }
        };
        let title = a.title();
        let mut property = |name: &str, values: [String; 2]| {
            findings.property(layer, None, &title, name, [&values[0], &values[1]]);
        };
        let both = [&a, &b];
        property("first byte", both.map(|it| it.start.to_string()));
        property("length", both.map(|it| it.length().to_string()));
        property("type", both.map(|it| it.kind.clone()));
        property("name", both.map(|it| it.name.clone()));
        property("PARTUUID", both.map(|it| it.uuid.clone()));
        property("attributes", both.map(|it| format!("{:#x}", it.attributes)));
    }
}

/// Compares the code in the first sector.
fn boot_code(a: &Image, b: &Image, findings: &mut Findings) -> Result<()> {
    let read = |image: &Image| -> Result<[u8; BOOT_CODE]> {
        let mut code = [0; BOOT_CODE];
        image.disk.read(0, &mut code, "the boot code")?;
        Ok(code)
    };
    let codes = [read(a)?, read(b)?];
    let Some(first) = contents::first_difference(&codes[0], &codes[1]) else {
        return Ok(());
    };
    let description = |code: &[u8]| match is_code(code) {
        true => "code",
        false => "none",
    };
    let [a, b] = [description(&codes[0]), description(&codes[1])];
    let is_same = a == b;
    findings.add(Difference {
        layer: Layer::BootCode,
        partition: None,
        place: "the first sector".to_owned(),
        property: Some(format!("code, first difference at byte {first}")),
        a: (!is_same).then(|| a.to_owned()),
        b: (!is_same).then(|| b.to_owned()),
        details: contents::hex(first, [&codes[0], &codes[1]], 0),
    });
    Ok(())
}

/// If the disks are equal, and the formats too, compares the files that contain them.
///
/// # Errors
/// If a file cannot be read.
pub fn compare_files(a: &Image, b: &Image, findings: &mut Findings) -> Result<()> {
    let is_raw = a.disk.facts.text("format") == "raw";
    if is_raw
        || findings.outcome() != super::Outcome::Equal
        || !same_format(&a.disk.facts, &b.disk.facts)
    {
        return Ok(());
    }
    let Some(first) = bytes::first_in_files(&a.disk, &b.disk)? else {
        return Ok(());
    };
    findings.add(Difference {
        layer: Layer::Container,
        partition: None,
        place: "file".to_owned(),
        property: Some(format!(
            "arrangement: the disks in them are equal, but the files differ from byte {first} on"
        )),
        a: None,
        b: None,
        details: Vec::new(),
    });
    Ok(())
}
