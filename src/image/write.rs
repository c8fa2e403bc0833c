//! [`write()`]: the only step that copies data. It copies each byte once.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use super::batch::batches;
use super::queue::{Buffer, Queue};
use super::ranges::Selection;
use super::raw::RawFile;
use super::sink::Sink;
use super::worker::{Progress, Worker};
use super::{Image, Part};
use crate::cores;

/// Writes `image` to the file `path`, which is created or truncated first. Ranges without data
/// become holes. All cores read, but only one at a time writes, which may lag some MiB behind.
/// `progress` is called from any thread with the number of bytes read so far, out of
/// [`Image::data_length`]. Returns the number of bytes that take no space, because the file shares
/// them with their sources.
///
/// The file is not synced: Nix does that if it is configured to (`fsync-store-paths`), and it never
/// registers an incomplete output.
///
/// # Errors
/// If the image's parts overlap or are out of bounds, if a source cannot be read or its length has
/// changed since it was listed, or if writing fails. A full file system is reported with the space
/// needed and the space available. After a failure, the incomplete file is left.
pub fn write(image: &Image, path: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<u64> {
    write_file(cores::count(), image, path, Selection::All, progress)
}

/// Like [`write()`], but ranges that are copied from files remain holes.
///
/// # Errors
/// As for [`write()`], but sources are not read.
pub(super) fn write_made(image: &Image, path: &Path) -> Result<()> {
    write_file(cores::count(), image, path, Selection::Made, &|_| ()).map(drop)
}

/// Like [`write()`], for the ranges `selection`, and with at most `threads` threads.
pub(super) fn write_file(
    threads: usize,
    image: &Image,
    path: &Path,
    selection: Selection,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<u64> {
    image.check()?;
    let file = RawFile::create(path, image, selection)?;
    write_to(threads, &file, image, selection, progress)?;
    Ok(file.shared())
}

/// Passes the ranges `selection` of `image`, which has been checked, to `sink`, from at most `threads`
/// threads. Otherwise, it is like [`write()`].
///
/// # Errors
/// If a source cannot be read or has changed, and those of `sink`.
pub(super) fn write_to(
    threads: usize,
    sink: &dyn Sink,
    image: &Image,
    selection: Selection,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let write = |buffer: &Buffer| sink.write(buffer.bytes(), buffer.offset());
    let queue = Queue::new(&write);
    let progress = Progress::new(progress);
    for part in &image.parts {
        let worker = || Worker::new(sink, &queue, &progress, part);
        write_part(threads, part, sink, selection, &worker)
            .with_context(|| format!("writing the part \"{}\"", part.name))?;
    }
    Ok(())
}

/// Writes one part with at most `threads` threads. `worker` creates the state of a thread.
fn write_part<'a>(
    threads: usize,
    part: &Part,
    sink: &dyn Sink,
    selection: Selection,
    worker: &(dyn Fn() -> Worker<'a> + Sync),
) -> Result<()> {
    let copied = match selection {
        Selection::All => part.content.copied(),
        Selection::Made => &[],
    };
    sink.reserve(copied, part.start)?;
    let batches = batches(copied);
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
    let copy = |mut worker: Worker<'a>| {
        while !stop.load(Ordering::Relaxed) {
            let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            guard(worker.batch(copied, *batch));
        }
    };
    let others = batches.len().min(threads.saturating_sub(1));
    thread::scope(|scope| {
        for _ in 0..others {
            // With fewer threads it takes longer, but this thread is always available.
            if thread::Builder::new()
                .spawn_scoped(scope, || copy(worker()))
                .is_err()
            {
                break;
            }
        }
        // This thread first writes what is generated in memory; the others start without it.
        let mut worker = worker();
        guard(worker.made());
        copy(worker);
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), Err)
}
