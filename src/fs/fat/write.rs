//! Writing a FAT file system to a file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::mem::offset_of;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::geometry::FIRST;
use super::mkfs::Empty;
use super::ondisk::FsInfo;
use super::place::Placed;
use super::table;
use crate::fs::regular::check_length;
use crate::tree::{Content, Kind, Source, Tree};
use crate::{escape, untrusted};

/// Offsets of the number of free clusters and of the last allocated one in their sector.
const FREE: u64 = offset_of!(FsInfo, fsi_free_count) as u64;
const LAST: u64 = offset_of!(FsInfo, fsi_nxt_free) as u64;

/// Creates the sparse file `path` of `length` bytes and writes the file system to it.
///
/// # Errors
/// If a source can't be read or its length has changed, or if writing fails.
pub(super) fn write(
    path: &Path,
    length: u64,
    empty: &Empty,
    placed: &Placed,
    tree: &Tree,
) -> Result<()> {
    let shown = escape::path(path);
    let file = File::create(path)
        .and_then(|file| file.set_len(length).map(|()| file))
        .with_context(|| format!("making {shown}"))?;
    write_metadata(&file, empty, placed).with_context(|| format!("writing {shown}"))?;
    for (id, clusters) in &placed.files {
        if let Kind::File(content) = &tree.inode(*id).kind {
            let at = empty.geometry.place(clusters.start);
            copy(content, &file, at).with_context(|| format!("writing {shown}"))?;
        }
    }
    Ok(())
}

fn write_metadata(file: &File, empty: &Empty, placed: &Placed) -> io::Result<()> {
    let geometry = &empty.geometry;
    file.write_all_at(&empty.reserved, 0)?;
    let used = placed.end - FIRST;
    // As with mtools, which do not change these fields if the file system has no files.
    let root = placed
        .directories
        .first()
        .map_or(0, |root| root.chain.len() as u64);
    if let Some(at) = geometry.information
        && used > root.min(1)
    {
        let number = |n| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        file.write_all_at(&number(geometry.clusters - used), at + FREE)?;
        file.write_all_at(&number(placed.end - 1), at + LAST)?;
    }
    let table = table::bytes(geometry, placed);
    for copy in 0..geometry.tables {
        file.write_all_at(&table, geometry.reserved + copy * geometry.table)?;
    }
    // usize to u64: lossless on every target Rust has.
    let cluster = usize::try_from(geometry.cluster).unwrap_or(usize::MAX);
    for directory in &placed.directories {
        let bytes = directory.slots.as_flattened();
        if directory.chain.is_empty() {
            file.write_all_at(bytes, geometry.root())?;
        }
        for (&number, piece) in directory.chain.iter().zip(bytes.chunks(cluster)) {
            file.write_all_at(piece, geometry.place(number))?;
        }
    }
    Ok(())
}

/// Copies the contents of a file to the offset `at`.
fn copy(content: &Content, mut file: &File, at: u64) -> Result<()> {
    let source = match &content.source {
        Source::Bytes(bytes) => return Ok(file.write_all_at(bytes, at)?),
        Source::File(source) => source.path(),
    };
    let name = escape::path(&source);
    let mut from = untrusted::open(&source).with_context(|| format!("reading {name}"))?;
    let length = from
        .metadata()
        .with_context(|| format!("reading {name}"))?
        .len();
    let check = |length| check_length(|| source.clone(), content.size, length);
    check(length)?;
    file.seek(SeekFrom::Start(at))?;
    let copied = io::copy(&mut from.by_ref().take(length), &mut file)
        .with_context(|| format!("copying {name}"))?;
    check(copied)
}
