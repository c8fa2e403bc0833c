//! Reads a report, on the host.

mod content;

use std::io::{self, Read};
use std::mem::size_of;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use tar::{Archive, EntryType, PaxExtensions};

use self::content::Contents;
use super::{MAX_RECORD, RECORD, Record, RecordKind, check};
use crate::escape;
use crate::guest::job::Job;
use crate::layout::BootCode;
use crate::owner::Ids;
use crate::tree::Content;

/// The limit on memory for records, in bytes: enough for a million files.
const MAX_MEMORY: u64 = 256 << 20;

/// The longest owner in JSON, in bytes, including punctuation.
const MAX_OWNER: u64 = 64;

/// A guest's report.
#[derive(Debug, Default)]
pub struct Report {
    /// The IDs of the owners in the job, in the same order.
    pub(crate) owners: Vec<Ids>,
    /// The deleted paths of the root file system, each followed by a NUL.
    pub(crate) gone: Vec<u8>,
    /// What is new or changed, in the order of a walk through one volume after the other.
    pub(crate) entries: Vec<Entry>,
    /// The contents of the requested parts of the disk.
    pub areas: BootCode,
}

/// A file that is new or changed.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its metadata.
    pub(crate) record: Record,
    /// The content of a regular file.
    pub(crate) content: Option<Content>,
}

/// The limits of a report.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// The guest's job. Its owners, boot partitions and areas are accepted, and no others.
    pub job: &'a Job,
    /// Total length of the paths that may have been deleted, each with a NUL.
    pub gone: u64,
    /// Total length of all files: the size of the guest's disk.
    pub data: u64,
}

/// Reads a report. Large files are stored in the directory `work`, where they must stay.
///
/// # Errors
/// If the report is incomplete or invalid, exceeds `limits`, or cannot be read, or if a file cannot be
/// written.
pub fn read(from: impl Read, work: &Path, limits: &Limits<'_>) -> Result<Report> {
    let mut reader = Reader {
        limits,
        report: Report::default(),
        seen: Vec::new(),
        contents: Contents::new(work, limits.data),
        memory: MAX_MEMORY,
    };
    let mut archive = Archive::new(from);
    let mut record = None;
    // Raw, because the crate allocates as much memory for other entries as their headers say.
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
                "expected a regular file, found type {}",
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
    bail!("the guest's report is incomplete: its last entry is missing")
}

struct Reader<'a> {
    limits: &'a Limits<'a>,
    report: Report,
    /// The kinds of single entries that have been read.
    seen: Vec<&'static str>,
    contents: Contents,
    /// Bytes of memory that are left for records.
    memory: u64,
}

impl Reader<'_> {
    /// Reads an entry. Returns whether it was the last one.
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
                let limit = MAX_OWNER.saturating_mul(job.owners.len() as u64 + 1);
                self.report.owners = json(&bytes(entry, limit)?)?;
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
                let (found, expected) = (self.report.owners.len(), job.owners.len());
                ensure!(
                    found == expected,
                    "expected {expected} owners, found {found}"
                );
                return Ok(true);
            }
            _ => bail!("unknown entry, or unexpected or missing record"),
        }
        Ok(false)
    }

    fn first(&mut self, kind: &'static str) -> Result<()> {
        ensure!(!self.seen.contains(&kind), "duplicate entry");
        self.seen.push(kind);
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        index: usize,
        record: Record,
        entry: &mut tar::Entry<'_, R>,
    ) -> Result<()> {
        let path = || format!("/{}", escape::bytes(&record.path));
        check::record(&record).with_context(path)?;
        self.order(&record).with_context(path)?;
        self.memory = self.memory.checked_sub(memory(&record)).with_context(|| {
            format!(
                "the guest changed too many files: their records take more than {MAX_MEMORY} bytes of \
                 memory"
            )
        })?;
        let content = match record.kind {
            RecordKind::File => {
                let content =
                    self.contents
                        .take(index, entry.size(), entry, record.sparse.as_ref());
                Some(content.with_context(path)?)
            }
            _ => None,
        };
        self.report.entries.push(Entry { record, content });
        Ok(())
    }

    /// Checks that `record` comes after the previous ones.
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
        ensure!(in_order, "it is a duplicate or out of order");
        Ok(())
    }

    fn area<R: Read>(&mut self, name: &[u8], entry: &mut tar::Entry<'_, R>) -> Result<()> {
        let mut areas = self.limits.job.areas.iter();
        let area = areas.find(|area| area.kind.name().as_bytes() == name);
        let area = area
            .with_context(|| format!("the disk has no boot code area {}", escape::bytes(name)))?;
        let bytes =
            bytes(entry, area.length).with_context(|| format!("area {} of the disk", area.kind))?;
        let before = self.report.areas.insert(area.kind, bytes);
        ensure!(before.is_none(), "duplicate area {}", area.kind);
        Ok(())
    }
}

/// Returns the approximate size of a record in memory.
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

/// Reads the bytes of an entry, at most `limit`.
fn bytes<R: Read>(entry: &mut tar::Entry<'_, R>, limit: u64) -> Result<Vec<u8>> {
    let size = entry.size();
    ensure!(size <= limit, "it has {size} bytes; the limit is {limit}");
    let length = usize::try_from(size).context("it does not fit into memory")?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .with_context(|| format!("not enough memory for its {size} bytes"))?;
    bytes.resize(length, 0);
    entry.read_exact(&mut bytes).map_err(broken)?;
    Ok(bytes)
}

/// Returns the value of the pax record [`RECORD`], the only one that is accepted.
fn pax<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>> {
    let bytes = bytes(entry, MAX_RECORD)?;
    let mut found = None;
    for extension in PaxExtensions::new(&bytes) {
        let extension = extension.map_err(broken)?;
        ensure!(
            extension.key_bytes() == RECORD.as_bytes() && found.is_none(),
            "expected only one pax record, {RECORD}"
        );
        found = Some(extension.value_bytes().to_vec());
    }
    found.context("it has no pax record")
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // The message may contain parts of the input.
    serde_json::from_slice(bytes)
        .map_err(|error| anyhow!(escape::bytes(error.to_string().as_bytes())))
}

/// Converts an error of the crate `tar`, which may contain parts of the input.
fn broken(error: io::Error) -> anyhow::Error {
    let text = escape::bytes(error.to_string().as_bytes());
    anyhow!("reading the guest's report: {text}")
}
