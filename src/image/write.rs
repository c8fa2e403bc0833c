//! [`write()`]: the only step that moves data, and it moves each byte once.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};

use super::batch::{Batch, batches};
use super::copy::Range;
use super::queue::{Buffer, Queue};
use super::target::{Data, Target};
use super::worker::Worker;
use super::{Content, Image};
use crate::cores;
use crate::fs::Plan;
use crate::tree::Tree;

/// Writes `image` to the file `path`, which is made or emptied first. What no part has data for is
/// left as a hole. Data is read on all cores, and written by one at a time, behind which it may be
/// some MiB; `progress` is called from any of them with the number of bytes read so far, of
/// [`Image::data_length`].
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

fn write_parts(
    image: &Image,
    path: &Path,
    data: Data,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    image.check()?;
    let target = Target::new(image, path, data, progress)?;
    let write = |buffer: &Buffer| target.write(buffer.bytes(), buffer.offset());
    let queue = Queue::new(&write);
    for part in &image.parts {
        match &part.content {
            Content::Bytes(bytes) => target.write(bytes, part.start)?,
            Content::File(source) => {
                Worker::new(&target, &queue).file(source, part.start, part.length)?;
            }
            Content::FileSystem { plan, tree } => FileSystem {
                target: &target,
                queue: &queue,
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

/// One file system on its way into a file.
struct FileSystem<'a> {
    target: &'a Target<'a>,
    queue: &'a Queue<'a>,
    /// Where it begins on the disk, in bytes.
    start: u64,
    plan: &'a dyn Plan,
    tree: &'a Tree,
}

impl FileSystem<'_> {
    fn write(&self) -> Result<()> {
        let data = self.target.data.of(self.plan);
        self.target.reserve(data, self.start)?;
        let batches = batches(data);
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
            let mut worker = Worker::new(self.target, self.queue);
            while !stop.load(Ordering::Relaxed) {
                let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                guard(self.run(&mut worker, *batch));
            }
        };
        let threads = cores::count();
        thread::scope(|scope| {
            for _ in 1..threads {
                // With fewer it takes longer, and this one is always there.
                if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            // This thread has the metadata first; the others need no one to start.
            guard(self.write_metadata());
            work();
        });
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(()), Err)
    }

    fn run(&self, worker: &mut Worker<'_>, batch: Batch) -> Result<()> {
        let data = self.plan.data();
        match batch {
            Batch::Small { first, end } => worker.extents(self.tree, &data[first..end], self.start),
            Batch::Piece {
                extent,
                skip,
                length,
            } => {
                let extent = &data[extent];
                let range = Range {
                    from: extent.file_offset + skip,
                    to: self.start + extent.offset + skip,
                    length,
                };
                worker.piece(self.tree, extent, range)
            }
        }
    }

    /// Writes all metadata.
    fn write_metadata(&self) -> Result<()> {
        let mut worker = Worker::new(self.target, self.queue);
        let length = self.plan.length();
        self.plan.metadata(&mut |offset, bytes| {
            // usize to u64: lossless on every target Rust has.
            let end = offset.checked_add(bytes.len() as u64);
            ensure!(
                end.is_some_and(|end| end <= length),
                "metadata of {} bytes at {offset} is beyond the file system's {length}",
                bytes.len()
            );
            worker.gather(bytes, self.start + offset)
        })?;
        worker.flush()
    }
}
