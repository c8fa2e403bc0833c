//! A disk that a guest can write to.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use anyhow::Result;

use super::written::{BLOCK, BLOCK_BYTES, Written};
use crate::image::{LazyImage, Reader};
use crate::progress;

/// A disk: a planned image that is only read, if any, and a sparse file with what was written.
pub struct Disk {
    length: u64,
    base: Option<Arc<LazyImage>>,
    file: File,
    written: Written,
}

/// Why a disk cannot be used.
#[derive(Debug)]
pub enum Failure {
    /// A file of the image, or what was written, cannot be read.
    Read(anyhow::Error),
    /// Written bytes cannot be stored.
    Write(io::Error),
}

impl Disk {
    /// Returns a disk with the bytes of `base`. What is written goes to the empty file `file`.
    pub fn overlay(base: Arc<LazyImage>, file: File) -> Disk {
        let length = base.length();
        Disk {
            length,
            base: Some(base),
            file,
            written: Written::new(length),
        }
    }

    /// Returns a disk that is the file `file` of `length` bytes.
    pub fn raw(file: File, length: u64) -> Disk {
        Disk {
            length,
            base: None,
            file,
            written: Written::new(0),
        }
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the planned image, if there is one.
    pub fn base(&self) -> Option<Arc<LazyImage>> {
        self.base.clone()
    }

    /// Fills `buffer` with the bytes of the disk from `offset` on. `base` reads [`Disk::base`]. The
    /// caller has checked that the range is on the disk.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(
        &self,
        base: Option<&mut Reader<'_>>,
        mut buffer: &mut [u8],
        mut offset: u64,
    ) -> Result<(), Failure> {
        progress::moved(buffer.len());
        let Some(base) = base else {
            return self.read_file(buffer, offset);
        };
        while !buffer.is_empty() {
            let written = self.written.contains(offset / BLOCK);
            let length = self.same(offset, buffer.len(), written);
            let (piece, rest) = buffer.split_at_mut(length);
            if written {
                self.read_file(piece, offset)?;
            } else {
                base.read_at(piece, offset).map_err(Failure::Read)?;
            }
            buffer = rest;
            // usize to u64: lossless on every target Rust has.
            offset = offset.saturating_add(length as u64);
        }
        Ok(())
    }

    /// Stores `bytes` at `offset`. `base` reads [`Disk::base`]. The caller has checked that the range
    /// is on the disk.
    ///
    /// # Errors
    /// If they cannot be stored, or the rest of a block cannot be read.
    pub fn write(
        &mut self,
        mut base: Option<&mut Reader<'_>>,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), Failure> {
        // usize to u64: lossless on every target Rust has.
        let end = offset.saturating_add(bytes.len() as u64);
        if let Some(base) = &mut base {
            for partial in [(offset, offset / BLOCK), (end, end / BLOCK)] {
                if partial.0 % BLOCK != 0 {
                    self.complete(base, partial.1)?;
                }
            }
        }
        self.file
            .write_all_at(bytes, offset)
            .map_err(Failure::Write)?;
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            self.written.insert(block);
        }
        Ok(())
    }

    /// Copies a block of the image, so that a part of it can be written.
    fn complete(&mut self, base: &mut Reader<'_>, block: u64) -> Result<(), Failure> {
        if self.written.contains(block) {
            return Ok(());
        }
        let mut bytes = [0; BLOCK_BYTES];
        let offset = block.saturating_mul(BLOCK);
        let length = base.read_at(&mut bytes, offset).map_err(Failure::Read)?;
        self.file
            .write_all_at(&bytes[..length], offset)
            .map_err(Failure::Write)?;
        self.written.insert(block);
        Ok(())
    }

    /// Returns how many of the `length` bytes at `offset` are in blocks with the state `written`.
    fn same(&self, offset: u64, length: usize, written: bool) -> usize {
        let mut end = (offset / BLOCK).saturating_add(1).saturating_mul(BLOCK);
        // usize to u64: lossless on every target Rust has.
        let limit = offset.saturating_add(length as u64);
        while end < limit && self.written.contains(end / BLOCK) == written {
            end += BLOCK;
        }
        usize::try_from(end.min(limit) - offset).unwrap_or(length)
    }

    fn read_file(&self, buffer: &mut [u8], offset: u64) -> Result<(), Failure> {
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| Failure::Read(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::image::{Content, Image, Part};

    const LENGTH: usize = (40 << 10) + 512;

    /// Returns a disk on an image that has `bytes` from 1000 on.
    fn disk(directory: &Path, bytes: &[u8]) -> Disk {
        let part = Part {
            name: "test".to_owned(),
            start: 1000,
            length: LENGTH as u64 - 2000,
            content: Content::Bytes(bytes.to_vec()),
        };
        let image = Image {
            length: LENGTH as u64,
            parts: vec![part],
        };
        let base = LazyImage::new(image, &directory.join("base")).unwrap();
        let file = tempfile::tempfile_in(directory).unwrap();
        file.set_len(LENGTH as u64).unwrap();
        Disk::overlay(Arc::new(base), file)
    }

    /// Random reads and writes of any length, compared with a disk in memory.
    #[test]
    fn reads_what_was_written_and_the_image_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..30_000_u32).map(|at| at.to_le_bytes()[0] | 1).collect();
        let mut disk = disk(directory.path(), &bytes);
        let mut expected = vec![0; LENGTH];
        expected[1000..31_000].copy_from_slice(&bytes);
        let base = disk.base().unwrap();
        let mut reader = base.reader();
        let mut state = 7_u64;
        let mut random = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        };
        for round in 0..200_u8 {
            let at = random(LENGTH);
            let length = random(LENGTH - at + 1).min(10_000);
            let written = vec![round; length];
            disk.write(Some(&mut reader), &written, at as u64).unwrap();
            expected[at..at + length].copy_from_slice(&written);
            let at = random(LENGTH);
            let mut found = vec![0; random(LENGTH - at + 1)];
            disk.read(Some(&mut reader), &mut found, at as u64).unwrap();
            assert!(found == expected[at..at + found.len()], "{round} {at}");
        }
        let mut found = vec![0; LENGTH];
        disk.read(Some(&mut reader), &mut found, 0).unwrap();
        assert!(found == expected);
    }

    #[test]
    fn only_written_blocks_take_space() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let mut disk = disk(directory.path(), &[1; 30_000]);
        let base = disk.base().unwrap();
        disk.write(Some(&mut base.reader()), &[2; 512], 20_480)
            .unwrap();
        assert_eq!(disk.file.metadata().unwrap().blocks() * 512, 4096);
        assert_eq!(base.length(), LENGTH as u64);
    }

    #[test]
    fn tells_failed_writes_from_failed_reads() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = disk(directory.path(), b"x");
        let base = disk.base().unwrap();
        disk.file = File::open("/dev/null").unwrap();
        let failure = disk.write(Some(&mut base.reader()), &[1; 4096], 4096);
        assert!(matches!(failure, Err(Failure::Write(_))), "{failure:?}");
        // As if the file of the metadata were cut.
        let made = File::options()
            .write(true)
            .open(directory.path().join("base"));
        made.unwrap().set_len(512).unwrap();
        let failure = disk.read(Some(&mut base.reader()), &mut [0; 4096], 0);
        assert!(matches!(failure, Err(Failure::Read(_))), "{failure:?}");
    }
}
