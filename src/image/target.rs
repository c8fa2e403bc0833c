//! The file that an image goes to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow};
use nix::libc;

use super::batch::BLOCK;
use super::copy::data_ranges;
use super::reserve::reserve;
use super::source::open;
use super::{Content, Image};
use crate::escape;
use crate::fs::{DataExtent, Plan};

/// What is done with the data of files in planned file systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// It is read from their sources.
    Copied,
    /// It stays a hole.
    LeftOut,
}

impl Data {
    /// The extents of `plan` that are written.
    pub fn of(self, plan: &dyn Plan) -> &[DataExtent] {
        match self {
            Data::Copied => plan.data(),
            Data::LeftOut => &[],
        }
    }
}

/// The file an image goes to.
pub struct Target<'a> {
    /// The file, open for writing.
    pub file: File,
    path: &'a Path,
    image: &'a Image,
    /// What is done with the data of files.
    pub data: Data,
    copied: AtomicU64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Target<'a> {
    /// Makes or empties the file `path` for `image`, as long as that.
    ///
    /// # Errors
    /// If that fails.
    pub fn new(
        image: &'a Image,
        path: &'a Path,
        data: Data,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> Result<Target<'a>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            // What a tool may have left there leads nowhere else and holds nobody up.
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .with_context(|| format!("making {}", escape::path(path)))?;
        let target = Target {
            file,
            path,
            image,
            data,
            copied: AtomicU64::new(0),
            progress,
        };
        target
            .file
            .set_len(image.length)
            .map_err(|error| target.failed(error))?;
        Ok(target)
    }

    /// Takes the blocks of `extents` before they are written, where that is of use. `start` is where
    /// their file system begins on the disk, in bytes.
    ///
    /// # Errors
    /// If there are not enough; it is reported as a full file system is by [`Target::write`].
    pub fn reserve(&self, extents: &[DataExtent], start: u64) -> Result<()> {
        reserve(&self.file, extents, start).map_err(|errno| self.failed(errno.into()))
    }

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// If that fails; a full file system is reported with what the image needs and what there is.
    pub fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| self.failed(error))
    }

    /// Counts `bytes` of files that are written.
    pub fn add_progress(&self, bytes: u64) {
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
                    "writing {path}, which has {} bytes",
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
        let found = nix::sys::statvfs::fstatvfs(&self.file)?;
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
