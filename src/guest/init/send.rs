//! Writes the report to its disk.

use std::collections::HashMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::sys::stat::{major, minor};

use super::snapshot::{State, walk};
use super::sparse;
use super::target::{VIEW, boot_view};
use crate::escape;
use crate::guest::job::{DISK, Job, REPORT};
use crate::guest::protected::Protected;
use crate::guest::report::{Record, RecordKind, Writer};
use crate::layout::{Area, SECTOR};
use crate::owner::Ids;
use crate::stage::scan::{flags, xattrs};

/// The alignment of memory for direct reads: enough for every device.
const ALIGNMENT: usize = 4096;

/// Writes the report: the owners, the changes since `before`, the boot partitions and the boot code.
pub fn report(
    job: &Job,
    protected: &Protected,
    mut before: HashMap<PathBuf, State>,
    owners: &[Ids],
) -> Result<()> {
    let mut disk = OpenOptions::new()
        .write(true)
        .open(REPORT)
        .with_context(|| format!("opening {REPORT}"))?;
    let context = || format!("writing the report to {REPORT}");
    let capacity = disk.seek(SeekFrom::End(0)).with_context(context)?;
    disk.rewind().with_context(context)?;
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 20, &disk), capacity);
    writer.owners(owners).with_context(context)?;
    let root = Path::new(VIEW);
    let mut links = HashMap::new();
    walk(root, Some(protected), |path, stat| {
        let same = before.get(path) == Some(&State::of(stat));
        // Sockets are not sent. A file that a socket replaced is reported as deleted.
        if same || file(&mut writer, 0, root, path, stat, &mut links)? {
            before.remove(path);
        }
        Ok(())
    })?;
    writer.gone(&paths(before)).with_context(context)?;
    for boot in &job.boot {
        let top = boot_view(boot.number);
        // FAT has no hard links.
        let mut links = HashMap::new();
        walk(&top, None, |path, stat| {
            file(&mut writer, boot.number, &top, path, stat, &mut links).map(drop)
        })?;
    }
    for area in &job.areas {
        let bytes = read_area(area)?;
        writer
            .area(area.kind.name(), &bytes)
            .with_context(context)?;
    }
    let buffered = writer.end(&job.token).with_context(context)?;
    drop(buffered);
    disk.sync_all().with_context(context)
}

/// Returns the paths of `states`, each followed by a NUL.
fn paths(states: HashMap<PathBuf, State>) -> Vec<u8> {
    let mut paths: Vec<PathBuf> = states.into_keys().collect();
    paths.sort_unstable();
    let mut bytes = Vec::new();
    for path in paths {
        bytes.extend_from_slice(path.as_os_str().as_bytes());
        bytes.push(0);
    }
    bytes
}

/// Sends one path. Returns whether it was sent, that is, not a socket.
fn file<W: io::Write>(
    writer: &mut Writer<W>,
    volume: u32,
    top: &Path,
    path: &Path,
    stat: &Metadata,
    links: &mut HashMap<u64, PathBuf>,
) -> Result<bool> {
    let name = || format!("sending {}", escape::path(path));
    let here = top.join(path);
    let Some(kind) = kind(&here, path, stat, links).with_context(name)? else {
        return Ok(false);
    };
    let xattrs = match kind {
        RecordKind::Link(_) => Vec::new(),
        _ => xattrs::read(&here, xattrs::belongs_to_image).with_context(name)?,
    };
    let flags = match kind {
        RecordKind::File | RecordKind::Directory => flags::open(&here)
            .and_then(|file| flags::read(&file))
            .with_context(name)?,
        _ => 0,
    };
    let pairs = xattrs.iter().map(|x| (x.name.to_vec(), x.value.to_vec()));
    let record = Record {
        volume,
        path: path.as_os_str().as_bytes().to_vec(),
        mode: u16::try_from(stat.mode() & 0o7777).with_context(name)?,
        uid: stat.uid(),
        gid: stat.gid(),
        mtime: (
            stat.mtime(),
            u32::try_from(stat.mtime_nsec()).with_context(name)?,
        ),
        flags,
        xattrs: pairs.collect(),
        sparse: None,
        kind,
    };
    let sent = match record.kind {
        RecordKind::File => sparse::send(writer, record, &here, stat),
        _ => writer.file(&record, 0, io::empty()),
    };
    sent.with_context(name)?;
    Ok(true)
}

/// Returns the kind of a file, or `None` for a socket, which is useless without its process.
fn kind(
    here: &Path,
    path: &Path,
    stat: &Metadata,
    links: &mut HashMap<u64, PathBuf>,
) -> io::Result<Option<RecordKind>> {
    let file = stat.file_type();
    if !file.is_dir() && stat.nlink() > 1 {
        if let Some(first) = links.get(&stat.ino()) {
            let first = first.as_os_str().as_bytes().to_vec();
            return Ok(Some(RecordKind::Link(first)));
        }
        links.insert(stat.ino(), path.to_owned());
    }
    // Device numbers of Linux have at most 32 bits, so this cannot fail.
    let number = |n: u64| u32::try_from(n).map_err(io::Error::other);
    Ok(Some(if file.is_dir() {
        RecordKind::Directory
    } else if file.is_file() {
        RecordKind::File
    } else if file.is_symlink() {
        let target = fs::read_link(here)?;
        RecordKind::Symlink(target.as_os_str().as_bytes().to_vec())
    } else if file.is_fifo() {
        RecordKind::Fifo
    } else if file.is_char_device() {
        RecordKind::Character(number(major(stat.rdev()))?, number(minor(stat.rdev()))?)
    } else if file.is_block_device() {
        RecordKind::Block(number(major(stat.rdev()))?, number(minor(stat.rdev()))?)
    } else {
        return Ok(None);
    }))
}

/// Reads an area of the disk, without the zeros at its end.
fn read_area(area: &Area) -> Result<Vec<u8>> {
    let name = || {
        format!(
            "reading {} bytes of the disk at {}",
            area.length, area.start
        )
    };
    // Bypass the page cache: the disk and each partition have separate caches, which do not see
    // writes through each other. It is also faster on an emulated processor.
    let disk = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECT.bits())
        .open(DISK)
        .with_context(name)?;
    let before = area.start % SECTOR;
    let length = (before + area.length).next_multiple_of(SECTOR);
    let mut buffer = vec![0; usize::try_from(length).with_context(name)? + ALIGNMENT];
    // Direct reads need whole sectors and aligned memory (open(2)).
    let from = buffer.as_ptr().align_offset(ALIGNMENT);
    let aligned = buffer
        .get_mut(from..from.saturating_add(usize::try_from(length).with_context(name)?))
        .context("memory cannot be aligned")
        .with_context(name)?;
    disk.read_exact_at(aligned, area.start - before)
        .with_context(name)?;
    let before = usize::try_from(before).with_context(name)?;
    let bytes = &aligned[before..before + usize::try_from(area.length).with_context(name)?];
    let used = bytes.iter().rposition(|&byte| byte != 0);
    Ok(bytes[..used.map_or(0, |last| last + 1)].to_vec())
}
