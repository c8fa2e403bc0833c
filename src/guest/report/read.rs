//! Reading a report, on the host.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tar::Archive;

use super::{RECORD, Record, RecordKind};
use crate::escape;
use crate::owner::Ids;
use crate::tree::{Content, Source, SourceFile};

/// Files up to this many bytes are kept in memory.
const SMALL: u64 = 1 << 16;

/// What the guest answered.
#[derive(Debug, Default)]
pub struct Report {
    /// What the names in the job stand for, in their order.
    pub owners: Vec<Ids>,
    /// Every path outside of the store, each followed by a NUL.
    pub paths: Vec<u8>,
    /// What is new or changed, on every volume, parents first.
    pub entries: Vec<Entry>,
    /// Parts of the disk, by name.
    pub areas: BTreeMap<String, Vec<u8>>,
}

/// Something new or changed.
#[derive(Debug)]
pub struct Entry {
    /// What it is.
    pub record: Record,
    /// The bytes of a regular file.
    pub content: Option<Content>,
}

/// Reads a report; larger files are put into the directory `work`, where they must stay.
///
/// # Errors
/// If it is not whole, or can't be read or written.
pub fn read(from: impl Read, work: &Path) -> Result<Report> {
    let mut report = Report::default();
    let directory: Arc<Path> = work.into();
    let mut archive = Archive::new(from);
    let entries = archive.entries().context("reading the guest's report")?;
    for (index, entry) in entries.enumerate() {
        let mut entry = entry.context("reading the guest's report")?;
        let kind = entry.path_bytes().into_owned();
        let name = || format!("reading an entry of the guest's report ({index})");
        match kind.as_slice() {
            b"owners" => {
                report.owners = serde_json::from_slice(&bytes(&mut entry)?).with_context(name)?;
            }
            b"paths" => report.paths = bytes(&mut entry)?,
            b"file" => {
                let record: Record =
                    serde_json::from_slice(&record(&mut entry)?).with_context(name)?;
                let content = match record.kind {
                    RecordKind::File => Some(content(&mut entry, &directory, index)?),
                    _ => None,
                };
                report.entries.push(Entry { record, content });
            }
            b"area" => {
                let area = String::from_utf8_lossy(&record(&mut entry)?).into_owned();
                let content = bytes(&mut entry)?;
                report.areas.insert(area, content);
            }
            b"end" => return Ok(report),
            other => bail!(
                "the guest's report has an entry of an unknown kind, {}",
                escape::bytes(other)
            ),
        }
    }
    bail!("the guest's report is not whole: it ends before its last entry")
}

fn bytes(entry: &mut impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry
        .read_to_end(&mut bytes)
        .context("reading the guest's report")?;
    Ok(bytes)
}

fn record<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>> {
    let extensions = entry
        .pax_extensions()
        .context("reading the guest's report")?;
    for extension in extensions.into_iter().flatten() {
        let extension = extension.context("reading the guest's report")?;
        if extension.key_bytes() == RECORD.as_bytes() {
            return Ok(extension.value_bytes().to_vec());
        }
    }
    bail!("the guest's report has a file without a record")
}

fn content<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    directory: &Arc<Path>,
    index: usize,
) -> Result<Content> {
    let size = entry.size();
    if size <= SMALL {
        return Ok(Content::bytes(bytes(entry)?));
    }
    let file = format!("guest-file-{index}");
    let path = directory.join(&file);
    let name = || format!("writing {}", escape::path(&path));
    let mut copy = File::create(&path).with_context(name)?;
    io::copy(entry, &mut copy).with_context(name)?;
    let length = fs::metadata(&path).with_context(name)?.len();
    if length != size {
        bail!("the guest's report is not whole: a file of {size} bytes has {length}");
    }
    Ok(Content {
        size,
        source: Source::File(SourceFile::new(directory.clone(), file.as_ref())),
        data: None,
    })
}
