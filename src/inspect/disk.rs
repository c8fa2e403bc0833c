//! The inspected image.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::libc;

/// A raw image, or a disk of this machine.
pub struct Disk {
    file: File,
    /// Its length in bytes.
    pub length: u64,
}

impl Disk {
    /// Opens a file or a block device. It does not wait for the other end of a FIFO.
    ///
    /// # Errors
    /// If it cannot be opened, or is neither a file nor a block device.
    pub fn open(path: &Path) -> Result<Disk> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .context("opening the image")?;
        let kind = file.metadata().context("getting its type")?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            bail!(
                "it is {}: only files and block devices can be inspected",
                match () {
                    () if kind.is_dir() => "a directory",
                    () if kind.is_fifo() => "a FIFO",
                    () if kind.is_socket() => "a socket",
                    () => "a character device",
                }
            );
        }
        let length = file.seek(SeekFrom::End(0)).context("getting its length")?;
        Ok(Disk { file, length })
    }

    /// Fills `buffer` with the bytes from `at` on, which messages call `what`.
    ///
    /// # Errors
    /// If the image cannot be read, or ends too early.
    pub fn read(&self, at: u64, buffer: &mut [u8], what: &str) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        let end = at.saturating_add(buffer.len() as u64);
        if end > self.length {
            bail!(
                "{what} ends at byte {end}, but the image ends at {}: it is truncated",
                self.length
            );
        }
        self.file
            .read_exact_at(buffer, at)
            .with_context(|| format!("reading {what}, {} bytes at offset {at}", buffer.len()))
    }
}
