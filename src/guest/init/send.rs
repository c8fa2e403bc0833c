//! The report, written to its disk.

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

/// To what memory is aligned for reads past the cache: enough for every device.
const ALIGNMENT: usize = 4096;

/// Writes everything that the host wants to know: what is not now as it was `before`, and the rest.
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
    let wrote = || format!("writing the report to {REPORT}");
    let capacity = disk.seek(SeekFrom::End(0)).with_context(wrote)?;
    disk.rewind().with_context(wrote)?;
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 20, &disk), capacity);
    writer.owners(owners).with_context(wrote)?;
    let root = Path::new(VIEW);
    let mut links = HashMap::new();
    walk(root, Some(protected), |path, stat| {
        let same = before.get(path) == Some(&State::of(stat));
        // A socket is not sent, and what it took the place of is gone.
        if same || file(&mut writer, 0, root, path, stat, &mut links)? {
            before.remove(path);
        }
        Ok(())
    })?;
    writer.gone(&paths(before)).with_context(wrote)?;
    for boot in &job.boot {
        let top = boot_view(boot.number);
        // FAT has no hard links.
        let mut none = HashMap::new();
        walk(&top, None, |path, stat| {
            file(&mut writer, boot.number, &top, path, stat, &mut none).map(drop)
        })?;
    }
    for area in &job.areas {
        let bytes = read_area(area)?;
        writer.area(area.kind.name(), &bytes).with_context(wrote)?;
    }
    let buffered = writer.end(&job.token).with_context(wrote)?;
    drop(buffered);
    disk.sync_all().with_context(wrote)
}

/// The paths of `states`, each followed by a NUL.
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

/// Sends one path; whether it was something that is sent.
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

/// `None` for a socket: it is nothing without the process that listens.
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
    // The numbers of Linux have 32 bits: nothing is lost.
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

/// The bytes of an area, without the zeros at its end.
fn read_area(area: &Area) -> Result<Vec<u8>> {
    let name = || {
        format!(
            "reading {} bytes of the disk at {}",
            area.length, area.start
        )
    };
    // Past the caches: the disk and each partition have their own, and one does not see what was
    // written through the other. It is quicker, too, where the processor is emulated.
    let disk = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECT.bits())
        .open(DISK)
        .with_context(name)?;
    let before = area.start % SECTOR;
    let length = (before + area.length).next_multiple_of(SECTOR);
    let mut buffer = vec![0; usize::try_from(length).with_context(name)? + ALIGNMENT];
    // Such reads need whole sectors in memory that is aligned (open(2)).
    let from = buffer.as_ptr().align_offset(ALIGNMENT);
    let aligned = buffer
        .get_mut(from..from.saturating_add(usize::try_from(length).with_context(name)?))
        .context("memory can't be aligned")
        .with_context(name)?;
    disk.read_exact_at(aligned, area.start - before)
        .with_context(name)?;
    let before = usize::try_from(before).with_context(name)?;
    let bytes = &aligned[before..before + usize::try_from(area.length).with_context(name)?];
    let used = bytes.iter().rposition(|&byte| byte != 0);
    Ok(bytes[..used.map_or(0, |last| last + 1)].to_vec())
}
