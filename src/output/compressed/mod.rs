//! A raw disk as one compressed file.
//!
//! The disk is cut into frames, which are compressed on all cores, each by itself. A file of zstd or xz
//! consists of several frames or streams, one after the other (RFC 8878, section 3.1; "The .xz File
//! Format", section 2). A file of gzip could do so, too, but some programs read only the first member
//! and others, such as systemd-importd, hang after it, so the frames are parts of one [`gzip`] member.

mod gzip;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::file::ImageFile;
use crate::codec::{Codec, Compressor};
use crate::image::{self, BlockSink, Blocks, Image};
use gzip::Member;

/// Writes `image` to the new file `path`, compressed with `codec`. `progress` is that of
/// [`image::write_blocks`].
///
/// # Errors
/// If a source cannot be read or has changed, or writing fails.
pub(crate) fn write(
    image: &Image,
    codec: Codec,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let blocks = Blocks {
        length: frame_length(codec)?,
        codec: Some(codec),
        always: true,
        pad: false,
    };
    let mut frames = Frames {
        file: ImageFile::create(path, image, image.length)?,
        end: 0,
        length: image.length,
        // usize to u64: lossless on every target Rust has.
        frame: blocks.length as u64,
        next: 0,
        zeros: zeros(codec, blocks.length)?,
        member: matches!(codec, Codec::Gzip { .. }).then(Member::default),
    };
    frames.begin()?;
    image::write_blocks(image, &blocks, &mut frames, progress)?;
    frames.finish(codec)
}

/// Returns the length of a frame in bytes of the disk. Longer frames would make the file 1 or 2 %
/// smaller (docs/formats.md), but each thread has two of them in memory, and xz also a dictionary and a
/// table of the same size or more.
fn frame_length(codec: Codec) -> Result<usize> {
    match codec {
        Codec::Zstd { .. } | Codec::Gzip { .. } => Ok(1 << 20),
        Codec::Xz { .. } => Ok(4 << 20),
        Codec::Deflate { .. } | Codec::Zlib { .. } => bail!("{codec:?} is not for whole files"),
    }
}

/// Returns a frame of `length` zeros.
fn zeros(codec: Codec, length: usize) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    Compressor::new(codec)?.compress(&vec![0; length], &mut frame)?;
    Ok(frame)
}

/// The file.
struct Frames<'a> {
    file: ImageFile<'a>,
    /// Where the next frame begins in the file, in bytes.
    end: u64,
    /// The length of the disk in bytes.
    length: u64,
    /// The length of a frame in bytes of the disk; the last one may be shorter.
    frame: u64,
    /// The number of the next frame.
    next: u64,
    /// A frame of zeros of the full length.
    zeros: Vec<u8>,
    /// The member that the frames are parts of, if the file is one of gzip.
    member: Option<Member>,
}

impl Frames<'_> {
    fn begin(&mut self) -> Result<()> {
        match self.member {
            Some(_) => self.append(&gzip::HEADER),
            None => Ok(()),
        }
    }

    /// Adds the frames after the last one that has data, and completes the file.
    fn finish(mut self, codec: Codec) -> Result<()> {
        self.zeros_to(self.length / self.frame)?;
        if self.next < self.length.div_ceil(self.frame) {
            let rest = usize::try_from(self.length % self.frame)?;
            self.add(&zeros(codec, rest)?)?;
        }
        if let Some(member) = &self.member {
            let trailer = member.trailer();
            self.append(&trailer)?;
        }
        self.file.finish(self.end)
    }

    /// Adds frames of zeros up to frame `number`.
    fn zeros_to(&mut self, number: u64) -> Result<()> {
        let zeros = std::mem::take(&mut self.zeros);
        while self.next < number {
            self.add(&zeros)?;
        }
        self.zeros = zeros;
        Ok(())
    }

    /// Adds the next frame.
    fn add(&mut self, frame: &[u8]) -> Result<()> {
        let start = self.next.saturating_mul(self.frame);
        let length = self.length.saturating_sub(start).min(self.frame);
        let bytes = match &mut self.member {
            Some(member) => member.add(frame, length)?,
            None => frame,
        };
        self.next += 1;
        self.append(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write(bytes, self.end)?;
        // usize to u64: lossless on every target Rust has.
        let end = self.end.checked_add(bytes.len() as u64);
        self.end = end.context("the compressed image is longer than any file can be")?;
        Ok(())
    }
}

impl BlockSink for Frames<'_> {
    fn plain(&mut self, first: u64, _: &[u8]) -> Result<()> {
        bail!("the block {first} is not compressed")
    }

    fn compressed(&mut self, number: u64, frame: &[u8]) -> Result<()> {
        self.zeros_to(number)?;
        self.add(frame)
    }
}
