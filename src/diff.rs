//! Compares two images in layers: container, partition table, boot code, parameters of file systems,
//! files, and bytes that no file owns. `docs/diff.md` describes the output.

mod bytes;
mod contents;
mod facts;
mod files;
mod found;
mod meanings;
mod outside;
mod table;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::container::Disk;
use crate::partitions::{self, Partition, Place, Table};
use crate::volume::{self, FileSystem, Region, Volume};
use crate::{escape, holes, stdout};
use found::Findings;

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Path of the first image, in any format that inspect reads
    a: PathBuf,
    /// Path of the second image, which may be in another format
    b: PathBuf,
    /// Print JSON, whose form docs/diff.md describes
    #[arg(long)]
    json: bool,
    /// The most differences that are shown of each layer; the others are counted
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
}

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The disks are equal.
    Equal,
    /// They are not.
    Different,
    /// A part of an image cannot be read, so nobody knows.
    Trouble,
}

/// An image.
struct Image {
    /// Its path, escaped.
    name: String,
    disk: Disk,
    table: Table,
}

impl Image {
    fn open(path: &Path) -> Result<Image> {
        let name = escape::path(path);
        let read = || -> Result<(Disk, Table)> {
            let disk = Disk::open(path)?;
            let table = partitions::read(&disk)?;
            Ok((disk, table))
        };
        let (disk, table) = read().with_context(|| format!("reading {name}"))?;
        Ok(Image { name, disk, table })
    }
}

/// A partition that both images have.
struct Pair<'a> {
    a: &'a Partition,
    b: &'a Partition,
    regions: [Region<'a>; 2],
    volumes: [Option<Volume>; 2],
}

impl Pair<'_> {
    /// Its number for findings.
    fn number(&self) -> u32 {
        self.a.number
    }

    /// The file systems, if both can be read and are of the same family.
    ///
    /// # Errors
    /// If one is damaged.
    fn open(&self) -> Result<Option<[Box<dyn FileSystem + '_>; 2]>> {
        let family = |volume: &Option<Volume>| volume.as_ref().map(|it| it.kind.starts_with("ext"));
        if family(&self.volumes[0]) != family(&self.volumes[1]) {
            return Ok(None);
        }
        let [a, b] = &self.regions;
        Ok(match (volume::open(a)?, volume::open(b)?) {
            (Some(a), Some(b)) => Some([a, b]),
            _ => None,
        })
    }
}

/// Runs `diff`.
///
/// # Errors
/// If an image cannot be read, or standard output cannot be written.
pub fn run(arguments: &Arguments) -> Result<Outcome> {
    let report = compare(&arguments.a, &arguments.b, arguments.limit)?;
    let text = if arguments.json {
        &report.json
    } else {
        &report.text
    };
    stdout::print(text.as_bytes())?;
    Ok(report.outcome)
}

/// What a comparison found.
#[derive(Debug)]
pub struct Comparison {
    /// Whether there are differences.
    pub outcome: Outcome,
    /// For people.
    pub text: String,
    /// For programs.
    pub json: String,
}

/// Compares two images. At most `limit` differences of each layer are described.
///
/// # Errors
/// If an image cannot be read.
pub fn compare(a: &Path, b: &Path, limit: usize) -> Result<Comparison> {
    let (a, b) = (Image::open(a)?, Image::open(b)?);
    let mut findings = Findings::new(limit);
    table::compare(&a, &b, &mut findings)?;
    for pair in pairs(&a, &b)? {
        let number = pair.number();
        facts::compare_volumes(&pair, &mut findings);
        let systems = match pair.open() {
            Ok(systems) => systems,
            Err(error) => {
                findings.trouble(Some(number), "the file system", &error);
                None
            }
        };
        match systems {
            Some(systems) => {
                let [a, b] = [&*systems[0], &*systems[1]];
                files::compare(&pair, a, b, &mut findings);
                meanings::compare(&pair, a, b, &mut findings)?;
            }
            None => outside::partition(&pair, &mut findings)?,
        }
    }
    outside::compare(&a, &b, &mut findings)?;
    table::compare_files(&a, &b, &mut findings)?;
    let names = [a.name.as_str(), &b.name];
    Ok(Comparison {
        outcome: findings.outcome(),
        text: text::text(&findings, names),
        json: findings.json(names)?,
    })
}

/// The partitions that both images have, by number. Extended ones have no contents of their own.
fn pairs<'a>(a: &'a Image, b: &'a Image) -> Result<Vec<Pair<'a>>> {
    let mut pairs = Vec::new();
    for partition in &a.table.partitions {
        let number = partition.number;
        let other = b.table.partitions.iter().find(|it| it.number == number);
        let Some(other) = other else { continue };
        if [partition.place, other.place].contains(&Place::Extended) {
            continue;
        }
        let regions = [Region::of(&a.disk, partition), Region::of(&b.disk, other)];
        let probe = |region: &Region<'_>| {
            volume::probe(region).with_context(|| format!("reading {}", partition.title()))
        };
        let volumes = [probe(&regions[0])?, probe(&regions[1])?];
        pairs.push(Pair {
            a: partition,
            b: other,
            regions,
            volumes,
        });
    }
    Ok(pairs)
}

/// Whether `bytes` are boot code.
fn is_code(bytes: &[u8]) -> bool {
    !holes::is_zeros(bytes)
}
