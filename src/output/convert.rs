//! Converts the disk with `qemu-img`, for formats that this project does not write itself.
//!
//! `qemu-img` reads the disk from this process (see [`nbd`]), which needs no space for a copy of it.
//! The connection is the standard input of `qemu-img`: it has no name that could be too long or have
//! the wrong characters, and no other process can use it.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Error, Result};

use super::{check, nbd};
use crate::image::{self, Image, LazyImage};
use crate::spec::Identity;
use crate::{escape, leftover, process, untrusted};

/// The minimum speed of `qemu-img`, in bytes of the disk per second: if it is slower, it hangs.
const SLOWEST: u64 = 1 << 20;

/// The disk at the other end of standard input. (Without a monitor, QEMU takes a decimal number as a
/// file descriptor that it has: its util/qemu-sockets.c.)
const SERVED: &str = "driver=nbd,server.type=fd,server.str=0";

/// What `qemu-img` says when a file system is full: the messages of `ENOSPC` and `EDQUOT`.
const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

/// Converts `image` to `format`, as `qemu-img` calls it, into the new file `target`. Temporary files are
/// in `work`. `progress` is called from any thread with the number of bytes read so far, out of
/// [`Image::data_length`].
///
/// With [`Identity::deterministic`], it logs a warning: the format may have identifiers or times that
/// differ each time.
///
/// # Errors
/// If the files of the image cannot be read or have changed, if `qemu-img` fails, or if `target` is not
/// in the expected format. A full file system is reported with the space needed and the space available.
pub fn convert(
    qemu_img: &Path,
    image: Image,
    format: &str,
    identity: &Identity,
    work: &Path,
    target: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let length = image.length;
    let conversion = Conversion {
        qemu_img,
        format,
        target,
        limit: process::USUAL.saturating_add(Duration::from_secs(length / SLOWEST)),
        progress,
    };
    let made = work.join("disk.made");
    let disk = LazyImage::new(image, &made)?;
    if let Err(refused) = conversion.served(&disk)? {
        let raw = work.join("disk.raw");
        log::warn!(
            "qemu-img cannot read the disk from this process ({refused}); writing it to {} first",
            escape::path(&raw)
        );
        conversion.written(disk.image(), &raw)?;
    }
    drop(disk);
    fs::remove_file(&made).with_context(|| format!("removing {}", escape::path(&made)))?;
    let file = leftover::open(target, "qemu-img")?;
    check::check(&file, format, length)
        .with_context(|| format!("checking the output of qemu-img: {}", escape::path(target)))?;
    if identity.deterministic {
        log::warn!(
            "qemu-img may write random identifiers or the time into the {} format: two builds of this \
             image may differ (raw, qcow2, vdi, vpc, vmdk and vhdx are reproducible)",
            escape::bytes(format.as_bytes())
        );
    }
    Ok(())
}

/// A call of `qemu-img`.
struct Conversion<'a> {
    qemu_img: &'a Path,
    format: &'a str,
    target: &'a Path,
    limit: Duration,
    progress: &'a (dyn Fn(u64) + Sync),
}

/// Why a disk could not be served, on one line.
type Refused = String;

impl Conversion<'_> {
    /// Converts `disk` while it is served. Returns why if that is not possible.
    ///
    /// # Errors
    /// If a file of the image cannot be read, or `qemu-img` fails although it could read the disk.
    fn served(&self, disk: &LazyImage) -> Result<Result<(), Refused>> {
        let (ours, theirs) = match UnixStream::pair() {
            Ok(pair) => pair,
            Err(error) => return Ok(Err(format!("creating a socket: {error}"))),
        };
        let total = disk.image().data_length();
        // What is read includes what was generated in memory.
        let progress = |read: u64| (self.progress)(read.min(total));
        let mut command = self.command(&["--image-opts"], SERVED.as_ref());
        let (end, served) = nbd::serve(disk, &ours, &progress, || {
            process::quiet_with_stdin(&mut command, OwnedFd::from(theirs), self.limit)
        })?;
        if let Some(error) = served.unreadable {
            return Err(error).with_context(|| self.step());
        }
        match (end, served.violation) {
            (Ok(()), _) => Ok(Ok(())),
            (Err(_), Some(violation)) => Ok(Err(last_line(&violation))),
            (Err(error), None) if !served.connected => Ok(Err(last_line(&error))),
            (Err(error), None) => Err(self.failed(error, disk.image())),
        }
    }

    /// Writes `image` to the file `raw`, converts that, and removes it.
    ///
    /// # Errors
    /// If the file cannot be written, or `qemu-img` fails.
    fn written(&self, image: &Image, raw: &Path) -> Result<()> {
        image::write(image, raw, self.progress)?;
        let mut command = self.command(&["-f", "raw"], raw);
        process::quiet(&mut command, self.limit).map_err(|error| self.failed(error, image))?;
        fs::remove_file(raw).with_context(|| format!("removing {}", escape::path(raw)))
    }

    /// Returns the command that converts `source`.
    fn command(&self, options: &[&str], source: &Path) -> Command {
        let mut command = Command::new(self.qemu_img);
        // Out-of-order writes (-W) would be faster, but the file would differ each time.
        command
            .arg("convert")
            .args(options)
            .args(["-O", self.format])
            .args([source, self.target])
            // Its messages are read.
            .env("LC_ALL", "C");
        command
    }

    /// Adds what is known about `error`, with which `qemu-img` failed to convert `image`.
    fn failed(&self, error: Error, image: &Image) -> Error {
        let message = error.to_string();
        if !FULL.iter().any(|words| message.contains(words)) {
            return error.context(self.step());
        }
        let directory = self.target.parent().unwrap_or(self.target);
        let room = match untrusted::open(self.target).or_else(|_| File::open(directory)) {
            Ok(file) => {
                let need = format!("the files on the disk have {} bytes", image.data_length());
                image::full(&file, self.target, &need)
            }
            Err(_) => format!("writing {}", escape::path(self.target)),
        };
        error.context(room).context(self.step())
    }

    fn step(&self) -> String {
        format!("converting the disk to {}", self.format)
    }
}

/// Returns the last line of the chain of causes, which is the last message of a program that failed.
fn last_line(error: &Error) -> String {
    let chain = format!("{error:#}");
    let last = chain.lines().next_back().unwrap_or_default();
    last.trim().to_owned()
}

#[cfg(test)]
mod tests;
