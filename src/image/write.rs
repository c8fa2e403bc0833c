//! [`write()`]: the only step that moves data, and it moves each byte once.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};

use super::batch::{BLOCK, Batch, GATHER, batches};
use super::copy::{Copier, Range, data_ranges, open};
use super::source::{Opened, slice};
use super::{Content, Image};
use crate::escape;
use crate::fs::{DataExtent, Plan};
use crate::tree::Tree;

/// Writes `image` to the file `path`, which is made or emptied first. What is zero is left as a
/// hole. Data is copied on all cores; `progress` is called from any of them with the number of
/// bytes copied so far, of [`Image::data_length`].
///
/// The file is not synced: Nix does that, where its administrator asked for it
/// (`fsync-store-paths`), and a half-written output is never registered.
///
/// # Errors
/// If the image's parts overlap or are out of bounds, if a source can't be read or has another
/// length than when it was listed, and if writing fails; a full file system is reported with what
/// the image needs and what there is. The file is left as it was at the failure.
pub fn write(image: &Image, path: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
    write_parts(image, path, Data::Copied, progress)
}

/// As [`write`], but what would be data of files in planned file systems stays a hole.
///
/// # Errors
/// As [`write`], but no source is looked at.
pub(super) fn write_metadata(image: &Image, path: &Path) -> Result<()> {
    write_parts(image, path, Data::LeftOut, &|_| ())
}

/// What is done with the data of files in planned file systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    Copied,
    LeftOut,
}

impl Data {
    fn of(self, plan: &dyn Plan) -> &[DataExtent] {
        match self {
            Data::Copied => plan.data(),
            Data::LeftOut => &[],
        }
    }
}

fn write_parts(
    image: &Image,
    path: &Path,
    data: Data,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    image.check()?;
    let file = File::create(path).with_context(|| format!("making {}", escape::path(path)))?;
    let target = Target {
        file: &file,
        path,
        image,
        data,
        copied: AtomicU64::new(0),
        progress,
    };
    file.set_len(image.length)
        .map_err(|error| target.failed(error))?;
    for part in &image.parts {
        match &part.content {
            Content::Bytes(bytes) => target.write(bytes, part.start)?,
            Content::File(source) => target.write_file(source, part.start, part.length)?,
            Content::FileSystem { plan, tree } => FileSystem {
                target: &target,
                start: part.start,
                plan: plan.as_ref(),
                tree,
            }
            .write()
            .with_context(|| format!("writing the part \"{}\"", part.name))?,
        }
    }
    Ok(())
}

/// The file an image goes to.
struct Target<'a> {
    file: &'a File,
    path: &'a Path,
    image: &'a Image,
    data: Data,
    copied: AtomicU64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Target<'_> {
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| self.failed(error))
    }

    fn write_file(&self, source: &Path, start: u64, room: u64) -> Result<()> {
        let (input, length) = open(source)?;
        ensure!(
            length <= room,
            "{} has {length} bytes and its place on the disk {room}",
            escape::path(source)
        );
        let mut copier = Copier::new();
        for (from, length) in data_ranges(&input, source, length)? {
            let range = Range {
                from,
                to: start + from,
                length,
            };
            copier.copy((&input, source), self.file, range, &|error| {
                self.failed(error)
            })?;
        }
        Ok(())
    }

    fn add_progress(&self, bytes: u64) {
        let before = self.copied.fetch_add(bytes, Ordering::Relaxed);
        (self.progress)(before.saturating_add(bytes));
    }

    /// The error for a write that failed.
    fn failed(&self, error: io::Error) -> anyhow::Error {
        let path = escape::path(self.path);
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {}
            io::ErrorKind::FileTooLarge => {
                return anyhow!(error).context(format!(
                    "writing {path}: its file system or a limit of the process (ulimit -f) allows \
                     no file of {} bytes",
                    self.image.length
                ));
            }
            _ => return anyhow!(error).context(format!("writing {path}")),
        }
        let room = self.room().map_or_else(
            |why| format!("unknown ({why:#})"),
            |bytes| format!("{bytes} bytes"),
        );
        let advice = match needed(self.image, self.data) {
            Ok(needed) => format!(
                "the image needs {needed} bytes and the room for it is {room}: free space there, \
                 or build where there is more (the directory of the output, TMPDIR)"
            ),
            Err(why) => format!("what the image needs is unknown ({why:#}), the room is {room}"),
        };
        anyhow!(error).context(format!("writing {path}: {advice}"))
    }

    /// Bytes free for us on the file system of the target, what we wrote to it included.
    fn room(&self) -> Result<u64> {
        let found = nix::sys::statvfs::fstatvfs(self.file)?;
        let free = found
            .blocks_available()
            .saturating_mul(found.fragment_size());
        let ours = self.file.metadata()?.blocks().saturating_mul(512);
        Ok(free.saturating_add(ours))
    }
}

/// Bytes that `image` takes on a file system that keeps holes, with or without `data`.
fn needed(image: &Image, data: Data) -> Result<u64> {
    let mut needed: u64 = 0;
    let mut add = |length: u64| needed = needed.saturating_add(length.next_multiple_of(BLOCK));
    for part in &image.parts {
        match &part.content {
            Content::Bytes(bytes) => add(bytes.len() as u64),
            Content::File(source) => {
                let (file, length) = open(source)?;
                for (_, length) in data_ranges(&file, source, length)? {
                    add(length);
                }
            }
            Content::FileSystem { plan, .. } => {
                for extent in data.of(plan.as_ref()) {
                    add(extent.length);
                }
                plan.metadata(&mut |_, bytes| {
                    add(bytes.len() as u64);
                    Ok(())
                })?;
            }
        }
    }
    Ok(needed)
}

/// One file system on its way into a file.
struct FileSystem<'a> {
    target: &'a Target<'a>,
    /// Where it begins on the disk, in bytes.
    start: u64,
    plan: &'a dyn Plan,
    tree: &'a Tree,
}

impl FileSystem<'_> {
    fn write(&self) -> Result<()> {
        let batches = batches(self.target.data.of(self.plan));
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let failure = Mutex::new(None);
        let guard = |result: Result<()>| {
            if let Err(error) = result {
                stop.store(true, Ordering::Relaxed);
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
            }
        };
        let work = || {
            let mut worker = Worker::default();
            while !stop.load(Ordering::Relaxed) {
                let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                guard(worker.run(self, *batch));
            }
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            // This thread has the metadata first; the others need no one to start.
            guard(self.write_metadata());
            work();
        });
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(()), Err)
    }

    /// Writes all metadata, neighbours gathered into large writes.
    fn write_metadata(&self) -> Result<()> {
        let mut buffer: Vec<u8> = Vec::new();
        let mut start = 0;
        let length = self.plan.length();
        self.plan.metadata(&mut |offset, bytes| {
            let end = offset.checked_add(bytes.len() as u64);
            ensure!(
                end.is_some_and(|end| end <= length),
                "metadata of {} bytes at {offset} is beyond the file system's {length}",
                bytes.len()
            );
            // usize to u64 in this function: lossless on every target Rust has.
            let adjacent = start + buffer.len() as u64 == offset;
            if !adjacent || buffer.len() as u64 >= GATHER {
                self.target.write(&buffer, self.start + start)?;
                buffer.clear();
                start = offset;
            }
            buffer.extend_from_slice(bytes);
            Ok(())
        })?;
        self.target.write(&buffer, self.start + start)
    }
}

/// What one thread keeps from batch to batch.
#[derive(Default)]
struct Worker {
    buffer: Vec<u8>,
    copier: Option<Copier>,
}

impl Worker {
    fn run(&mut self, fs: &FileSystem<'_>, batch: Batch) -> Result<()> {
        match batch {
            Batch::Small { first, end } => self.small(fs, &fs.plan.data()[first..end]),
            Batch::Piece {
                extent,
                skip,
                length,
            } => self.piece(fs, &fs.plan.data()[extent], skip, length),
        }
    }

    /// Reads extents that are neighbours into one buffer and writes that.
    fn small(&mut self, fs: &FileSystem<'_>, extents: &[DataExtent]) -> Result<()> {
        self.buffer.clear();
        let mut bytes = 0;
        for extent in extents {
            let length = usize::try_from(extent.length).context("an extent beyond the memory")?;
            let begin = self.buffer.len();
            self.buffer.resize(begin + length, 0);
            Opened::open(fs.tree, extent)?.read(&mut self.buffer[begin..], extent.file_offset)?;
            let block = usize::try_from(BLOCK).context("a block beyond the memory")?;
            self.buffer
                .resize(self.buffer.len().next_multiple_of(block), 0);
            bytes += extent.length;
        }
        if let Some(first) = extents.first() {
            fs.target.write(&self.buffer, fs.start + first.offset)?;
        }
        fs.target.add_progress(bytes);
        Ok(())
    }

    /// Copies `length` bytes of an extent, `skip` bytes from its beginning.
    fn piece(
        &mut self,
        fs: &FileSystem<'_>,
        extent: &DataExtent,
        skip: u64,
        length: u64,
    ) -> Result<()> {
        let range = Range {
            from: extent.file_offset + skip,
            to: fs.start + extent.offset + skip,
            length,
        };
        match Opened::open(fs.tree, extent)? {
            Opened::Bytes(bytes) => {
                let length = usize::try_from(length).context("an extent beyond the memory")?;
                fs.target
                    .write(slice(bytes, range.from, length)?, range.to)?;
            }
            Opened::File(input, path) => {
                self.copier.get_or_insert_with(Copier::new).copy(
                    (&input, &path),
                    fs.target.file,
                    range,
                    &|error| fs.target.failed(error),
                )?;
            }
        }
        fs.target.add_progress(length);
        Ok(())
    }
}
