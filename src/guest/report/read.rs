//! Reading a report, on the host.

mod content;

use std::io::{self, Read};
use std::mem::size_of;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use tar::{Archive, EntryType, PaxExtensions};

use self::content::Contents;
use super::{LONGEST_RECORD, RECORD, Record, RecordKind, check};
use crate::escape;
use crate::guest::job::Job;
use crate::layout::BootCode;
use crate::owner::Ids;
use crate::tree::Content;

/// The most bytes of memory for records: a million files.
const MEMORY: u64 = 256 << 20;

/// The most bytes of an owner in JSON, with all that may be around it.
const OWNER: u64 = 64;

/// What the guest answered.
#[derive(Debug, Default)]
pub struct Report {
    /// What the names in the job stand for, in their order.
    pub owners: Vec<Ids>,
    /// Every path of the root file system that was there and is not any more, each followed by a
    /// NUL.
    pub gone: Vec<u8>,
    /// What is new or changed, in the order of a walk through one volume after the other.
    pub entries: Vec<Entry>,
    /// What is in the parts of the disk that were asked for.
    pub areas: BootCode,
}

/// Something new or changed.
#[derive(Debug)]
pub struct Entry {
    /// What it is.
    pub record: Record,
    /// The bytes of a regular file.
    pub content: Option<Content>,
}

/// What a report can have at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// What the guest was told: its owners, boot partitions and areas, and no others.
    pub job: &'a Job,
    /// Bytes of all paths that may be gone, with a NUL for each.
    pub gone: u64,
    /// Bytes of all files: what the guest's disk holds.
    pub data: u64,
}

/// Reads a report; larger files are put into the directory `work`, where they must stay.
///
/// # Errors
/// If it is not whole or not sound, has more than `limits` allow, or can't be read or written.
pub fn read(from: impl Read, work: &Path, limits: &Limits<'_>) -> Result<Report> {
    let mut reader = Reader {
        limits,
        report: Report::default(),
        seen: Vec::new(),
        contents: Contents::new(work, limits.data),
        memory: MEMORY,
    };
    let mut archive = Archive::new(from);
    let mut record = None;
    // Raw: what the crate does with other entries than files takes as much memory as they say.
    let entries = archive.entries().map_err(broken)?.raw(true);
    for (index, entry) in entries.enumerate() {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        let name = entry.header().path_bytes().into_owned();
        let done = match kind {
            EntryType::XHeader if record.is_none() => pax(&mut entry)
                .map(|found| record = Some(found))
                .map(|()| false),
            EntryType::Regular => reader.entry(index, &name, record.take(), &mut entry),
            _ => Err(anyhow!(
                "it is of the type {}, and what comes here is a file",
                escape::bytes(&[kind.as_byte()])
            )),
        };
        let done = done.with_context(|| {
            format!(
                "entry {index} of the guest's report, {}",
                escape::bytes(&name)
            )
        })?;
        if done {
            return Ok(reader.report);
        }
    }
    bail!("the guest's report is not whole: it ends before its last entry")
}

struct Reader<'a> {
    limits: &'a Limits<'a>,
    report: Report,
    /// Kinds of entries that have been there, of which there is one.
    seen: Vec<&'static str>,
    contents: Contents,
    /// Bytes that records may still take.
    memory: u64,
}

impl Reader<'_> {
    /// Takes an entry; whether it was the last one.
    fn entry<R: Read>(
        &mut self,
        index: usize,
        name: &[u8],
        record: Option<Vec<u8>>,
        entry: &mut tar::Entry<'_, R>,
    ) -> Result<bool> {
        let job = self.limits.job;
        match (name, record) {
            (b"owners", None) => {
                self.first("owners")?;
                let most = OWNER.saturating_mul(job.owners.len() as u64 + 1);
                self.report.owners = json(&bytes(entry, most)?)?;
            }
            (b"gone", None) => {
                self.first("gone")?;
                self.report.gone = bytes(entry, self.limits.gone)?;
            }
            (b"file", Some(record)) => self.file(index, json(&record)?, entry)?,
            (b"area", Some(name)) => self.area(&name, entry)?,
            (b"end", None) => {
                let token = bytes(entry, job.token.len() as u64)?;
                ensure!(
                    token == job.token.as_bytes(),
                    "it was not written by the guest's init"
                );
                let (found, asked) = (self.report.owners.len(), job.owners.len());
                ensure!(
                    found == asked,
                    "there are {found} owners, and {asked} were asked for"
                );
                return Ok(true);
            }
            _ => bail!("there is no such entry, or not with or without a record"),
        }
        Ok(false)
    }

    fn first(&mut self, kind: &'static str) -> Result<()> {
        ensure!(!self.seen.contains(&kind), "it is there twice");
        self.seen.push(kind);
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        index: usize,
        record: Record,
        entry: &mut tar::Entry<'_, R>,
    ) -> Result<()> {
        let place = || format!("/{}", escape::bytes(&record.path));
        check::record(&record).with_context(place)?;
        self.order(&record).with_context(place)?;
        self.memory = self.memory.checked_sub(memory(&record)).with_context(|| {
            format!(
                "the guest changed so many files that they take more than {MEMORY} bytes of memory"
            )
        })?;
        let content = match record.kind {
            RecordKind::File => {
                let content =
                    self.contents
                        .take(index, entry.size(), entry, record.sparse.as_ref());
                Some(content.with_context(place)?)
            }
            _ => None,
        };
        self.report.entries.push(Entry { record, content });
        Ok(())
    }

    /// Checks that `record` comes after those that are there.
    fn order(&self, record: &Record) -> Result<()> {
        let volumes = || {
            [0].into_iter()
                .chain(self.limits.job.boot.iter().map(|b| b.number))
        };
        let place = |volume| volumes().position(|known| known == volume);
        let here = place(record.volume)
            .with_context(|| format!("the image has no boot partition {}", record.volume))?;
        let Some(Entry { record: last, .. }) = self.report.entries.last() else {
            return Ok(());
        };
        let in_order = match last.volume == record.volume {
            true => check::in_order(&last.path, &record.path),
            false => place(last.volume).is_some_and(|last| last < here),
        };
        ensure!(in_order, "it is there twice, or out of order");
        Ok(())
    }

    fn area<R: Read>(&mut self, name: &[u8], entry: &mut tar::Entry<'_, R>) -> Result<()> {
        let mut areas = self.limits.job.areas.iter();
        let area = areas.find(|area| area.kind.name().as_bytes() == name);
        let area = area.with_context(|| {
            format!("the disk has no area {} for boot code", escape::bytes(name))
        })?;
        let bytes = bytes(entry, area.length)
            .with_context(|| format!("the area {} of the disk", area.kind))?;
        let before = self.report.areas.insert(area.kind, bytes);
        ensure!(before.is_none(), "the area {} is there twice", area.kind);
        Ok(())
    }
}

/// What a record takes in memory, nearly.
fn memory(record: &Record) -> u64 {
    let kind = match &record.kind {
        RecordKind::Symlink(bytes) | RecordKind::Link(bytes) => bytes.len(),
        _ => 0,
    };
    let xattrs = record.xattrs.iter();
    let xattrs: usize = xattrs
        .map(|(a, b)| a.len() + b.len() + size_of::<(Vec<u8>, Vec<u8>)>())
        .sum();
    let sparse = record.sparse.as_ref().map_or(0, |sparse| sparse.data.len());
    let ranges = sparse.saturating_mul(size_of::<(u64, u64)>());
    // usize to u64: lossless on every target Rust has.
    (size_of::<Entry>() + record.path.len() + kind + xattrs + ranges) as u64
}

/// The bytes of an entry that can have `most` of them.
fn bytes<R: Read>(entry: &mut tar::Entry<'_, R>, most: u64) -> Result<Vec<u8>> {
    let size = entry.size();
    ensure!(
        size <= most,
        "it has {size} bytes, and can have {most} at most"
    );
    let length = usize::try_from(size).context("it is larger than memory")?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .with_context(|| format!("there is no memory for its {size} bytes"))?;
    bytes.resize(length, 0);
    entry.read_exact(&mut bytes).map_err(broken)?;
    Ok(bytes)
}

/// The value of our record in a pax header.
fn pax<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>> {
    let bytes = bytes(entry, LONGEST_RECORD)?;
    let mut found = None;
    for extension in PaxExtensions::new(&bytes) {
        let extension = extension.map_err(broken)?;
        ensure!(
            extension.key_bytes() == RECORD.as_bytes() && found.is_none(),
            "it has something else than one record of ours"
        );
        found = Some(extension.value_bytes().to_vec());
    }
    found.context("it has no record")
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // The message may have parts of the input.
    serde_json::from_slice(bytes)
        .map_err(|error| anyhow!(escape::bytes(error.to_string().as_bytes())))
}

/// An error of the crate `tar`, which has parts of the input.
fn broken(error: io::Error) -> anyhow::Error {
    let text = escape::bytes(error.to_string().as_bytes());
    anyhow!("reading the guest's report: {text}")
}
