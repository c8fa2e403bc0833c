//! [`ImageFile`]: the file of an image that is written in blocks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::image::{Image, write_failed};
use crate::{escape, untrusted};

/// The most bytes that are gathered for one write.
const GATHER: usize = 1 << 20;

/// The length of the pieces in which formats look for zeros, in bytes.
const PIECE: u64 = 64 << 10;

/// Writes of at least this length are not gathered: copying their bytes takes longer than another
/// system call.
const LARGE: usize = 64 << 10;

/// The file of an image that is being written. Small adjacent writes are gathered. Bytes that are never
/// written are holes.
pub(super) struct ImageFile<'a> {
    file: File,
    path: PathBuf,
    /// What is written to it, and the most bytes that it takes if the whole disk has data, for messages.
    image: &'a Image,
    most: u64,
    gathered: Vec<u8>,
    /// Where the gathered bytes belong.
    offset: u64,
}

impl<'a> ImageFile<'a> {
    /// Creates or truncates the file `path` for `image`. It would take `most` bytes at most if the whole
    /// disk had data.
    ///
    /// # Errors
    /// If this fails.
    pub fn create(path: &Path, image: &'a Image, most: u64) -> Result<ImageFile<'a>> {
        let file =
            untrusted::create(path).with_context(|| format!("creating {}", escape::path(path)))?;
        Ok(ImageFile {
            file,
            path: path.to_owned(),
            image,
            most,
            gathered: Vec::new(),
            offset: 0,
        })
    }

    /// Writes `bytes` at `offset`, now or later.
    ///
    /// # Errors
    /// If a write fails. A full file system is reported with the space needed and the space available.
    pub fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        let end = self.offset.saturating_add(self.gathered.len() as u64);
        let is_large = bytes.len() >= LARGE;
        if is_large || end != offset || self.gathered.len() + bytes.len() > GATHER {
            self.flush()?;
            self.offset = offset;
        }
        if is_large {
            return self
                .file
                .write_all_at(bytes, offset)
                .map_err(|error| self.failed(error));
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what was gathered, and sets the length of the file in bytes.
    ///
    /// # Errors
    /// As for [`ImageFile::write`].
    pub fn finish(mut self, length: u64) -> Result<()> {
        self.flush()?;
        self.file
            .set_len(length)
            .map_err(|error| self.failed(error))
    }

    fn flush(&mut self) -> Result<()> {
        self.file
            .write_all_at(&self.gathered, self.offset)
            .map_err(|error| self.failed(error))?;
        self.gathered.clear();
        Ok(())
    }

    fn failed(&self, error: io::Error) -> anyhow::Error {
        let need = || {
            // What a format adds to the bytes of a disk grows with its length.
            let added = self.most.saturating_sub(self.image.length);
            let needed = self
                .image
                .allocated(PIECE)
                .map(|data| data.saturating_add(added));
            let needed = needed.map_or(self.most, |needed| needed.min(self.most));
            format!("the image needs at most {needed} bytes")
        };
        write_failed(error, &self.file, &self.path, self.most, need)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::image::{Content, Part};

    #[test]
    fn writes_of_any_length_and_order_arrive() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        fs::write(&path, [9; 100]).unwrap();
        let image = image(0, Vec::new());
        let mut file = ImageFile::create(&path, &image, 1 << 30).unwrap();
        let mut expected = vec![0; 5 << 20];
        let mut put = |offset: usize, length: usize, value: u8| {
            let bytes = vec![value; length];
            expected[offset..offset + length].copy_from_slice(&bytes);
            file.write(&bytes, offset as u64).unwrap();
        };
        put(3 << 20, 10, 1);
        put((3 << 20) + 10, 70_000, 2);
        put(0, LARGE, 3);
        put(LARGE, 1, 4);
        put(LARGE + 1, GATHER, 5);
        put(LARGE + 1 + GATHER, 7, 6);
        // Over earlier bytes, some of which were only gathered.
        put(LARGE + 1 + GATHER, 2, 7);
        put(1, 1, 8);
        file.finish(5 << 20).unwrap();
        assert!(fs::read(&path).unwrap() == expected);
    }

    fn image(length: u64, parts: Vec<Part>) -> Image {
        Image { length, parts }
    }

    /// The error for a full file system, of a disk of 1 TiB.
    fn full(parts: Vec<Part>, most: u64) -> String {
        let image = image(1 << 40, parts);
        let mut file = ImageFile::create(Path::new("/dev/full"), &image, most).unwrap();
        file.write(b"bytes", 0).unwrap();
        format!("{:#}", file.finish(5).unwrap_err())
    }

    #[test]
    fn a_full_file_system_is_reported_with_both_figures() {
        let part = |start, bytes: usize| Part {
            name: "test".to_owned(),
            start,
            length: 1 << 20,
            content: Content::Bytes(vec![1; bytes]),
        };
        for (parts, added, expected) in [
            (vec![], 12_345, 12_345),
            // Two pieces, because the bytes are on both sides of a border; and one.
            (vec![part(65_535, 2), part(1 << 30, 1)], 5, 3 * 65_536 + 5),
        ] {
            let message = full(parts, (1 << 40) + added);
            let expected =
                format!("writing /dev/full: the image needs at most {expected} bytes, available: ");
            assert!(message.starts_with(&expected), "{message}");
        }
        // A format that compresses may need less than the disk.
        let message = full(vec![part(0, 1 << 20)], 1000);
        assert!(message.contains("at most 1000 bytes"), "{message}");
    }
}
