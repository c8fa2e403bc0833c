//! Dynamic VHDX files, as `qemu-img` makes them.
//!
//! "\[MS-VHDX\]: Virtual Hard Disk v2 (VHDX) File Format", from which all section numbers are. The disk
//! consists of payload blocks, and the block allocation table (BAT) has the state and the place of each.
//! A payload block is in the file from its first to its last byte, but is a hole where it has only
//! zeros.

mod layout;
mod ondisk;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result, bail};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use crate::escape;
use crate::image::{BlockSink, Blocks, Image, write_blocks};
use crate::output::file::ImageFile;
use crate::output::length;
use crate::spec::Identity;
use layout::{BAT, Layout};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// The longest disk, in bytes (section 2.6.2.2).
const LONGEST: u64 = 64 * TIB;

/// Ranges of zeros of this length, in bytes, are left out even if the payload block is in the file. It
/// divides each length of a payload block.
const UNIT: usize = 64 << 10;

/// State of a payload block that is in the file. The other bits of the entry are its offset in the file,
/// a multiple of [`MEBIBYTE`].
const FULLY_PRESENT: u64 = 6;

/// Writes `image` to the file `path`, which is created or truncated first. `progress` is that of
/// [`write_blocks`].
///
/// # Errors
/// If the format has no room for the disk, and those of [`write_blocks`].
pub(super) fn write(
    image: &Image,
    identity: &Identity,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    length::check(image.length, LONGEST, "a VHDX has at most", "\"qcow2\"")
        .with_context(|| format!("writing {}", escape::path(path)))?;
    let layout = Layout::new(image.length);
    let blocks = Blocks {
        length: UNIT,
        codec: None,
        always: false,
        pad: false,
    };
    let mut sink = Dynamic::new(layout, image, path)?;
    write_blocks(image, &blocks, &mut sink, progress)?;
    sink.finish(identity)
}

struct Dynamic<'a> {
    file: ImageFile<'a>,
    layout: Layout,
    bat: Vec<U64>,
    /// The payload block to which bytes were written last, and its offset in the file.
    current: Option<(u64, u64)>,
    /// The offset of the next payload block in the file.
    next: u64,
}

impl<'a> Dynamic<'a> {
    fn new(layout: Layout, image: &'a Image, path: &Path) -> Result<Dynamic<'a>> {
        let payload = layout.payload_blocks.saturating_mul(layout.block);
        Ok(Dynamic {
            file: ImageFile::create(path, image, layout.payload.saturating_add(payload))?,
            layout,
            bat: layout.bat_of_zeros()?,
            current: None,
            next: layout.payload,
        })
    }

    /// Returns the offset of the payload block `number` in the file, and gives it one if it has none.
    fn place(&mut self, number: u64) -> Result<u64> {
        if let Some((current, offset)) = self.current
            && current == number
        {
            return Ok(offset);
        }
        let offset = self.next;
        self.next += self.layout.block;
        self.current = Some((number, offset));
        let index = usize::try_from(self.layout.bat_index(number))?;
        self.bat[index] = U64::new(offset | FULLY_PRESENT);
        Ok(offset)
    }

    /// Writes everything except the payload blocks.
    fn finish(mut self, identity: &Identity) -> Result<()> {
        self.layout.write(&mut self.file, identity)?;
        self.file.write(self.bat.as_bytes(), BAT)?;
        self.file.finish(self.next)
    }
}

impl BlockSink for Dynamic<'_> {
    fn plain(&mut self, first: u64, mut bytes: &[u8]) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        let mut at = first * UNIT as u64;
        while !bytes.is_empty() {
            let (number, within) = (at / self.layout.block, at % self.layout.block);
            let left = self.layout.block - within;
            let length = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (now, later) = bytes.split_at(length);
            let offset = self.place(number)?;
            self.file.write(now, offset + within)?;
            at += length as u64;
            bytes = later;
        }
        Ok(())
    }

    fn compressed(&mut self, number: u64, _: &[u8]) -> Result<()> {
        bail!("block {number} is compressed, but the format has no compression")
    }
}
