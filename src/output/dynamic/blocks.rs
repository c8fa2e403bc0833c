//! The blocks of a disk that are in its file.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::image::{BlockSink, Blocks, Image, write_blocks};
use crate::output::file::ImageFile;

/// The length in bytes of the pieces of a disk that are not written if they have only zeros. Blocks
/// of these formats are larger, so that allocated blocks have holes.
pub const PIECE: usize = 64 << 10;

/// Where blocks are in a file.
#[derive(Debug, Clone, Copy)]
pub struct Placement {
    /// The length of the disk in bytes.
    pub disk: u64,
    /// Where the first block begins in the file, in bytes.
    pub data: u64,
    /// The length of a block in bytes, a multiple of [`PIECE`].
    pub block: u64,
    /// What precedes each block in the file.
    pub prefix: &'static [u8],
}

impl Placement {
    /// Where the block with the number `index` in the file begins there, in bytes, with its prefix.
    ///
    /// # Errors
    /// If it is more than a file can hold.
    pub fn place(&self, index: u32) -> Result<u64> {
        // usize to u64: lossless on every target Rust has.
        let stride = self.block.checked_add(self.prefix.len() as u64);
        stride
            .and_then(|stride| stride.checked_mul(index.into()))
            .and_then(|offset| offset.checked_add(self.data))
            .with_context(|| format!("the file is too long for a disk of {} bytes", self.disk))
    }
}

/// A file with blocks.
pub struct BlockFile<'a> {
    /// Where they are.
    pub placement: Placement,
    /// The file.
    pub file: ImageFile<'a>,
    /// The numbers on the disk of the blocks in the file, in order.
    pub allocated: Vec<u32>,
}

/// Writes the blocks of `image` to the file `path`, and nothing else. The whole file has `longest`
/// bytes at most.
///
/// # Errors
/// As for [`write_blocks`], and if writing fails.
pub fn write<'a>(
    image: &'a Image,
    placement: Placement,
    longest: u64,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<BlockFile<'a>> {
    let mut file = BlockFile {
        placement,
        file: ImageFile::create(path, image, longest)?,
        allocated: Vec::new(),
    };
    let blocks = Blocks {
        length: PIECE,
        codec: None,
        always: false,
        pad: false,
    };
    write_blocks(image, &blocks, &mut file, progress)?;
    Ok(file)
}

impl BlockFile<'_> {
    /// Where the next block will begin in the file, in bytes, with its prefix.
    ///
    /// # Errors
    /// As for [`Placement::place`].
    pub fn end(&self) -> Result<u64> {
        let count = u32::try_from(self.allocated.len()).context("too many blocks are allocated")?;
        self.placement.place(count)
    }

    /// Returns where the contents of block `number` begin in the file, in bytes. Allocates the
    /// block if it is not the last one.
    fn contents(&mut self, number: u64) -> Result<u64> {
        let number = u32::try_from(number).context("too many blocks")?;
        let last = self.allocated.last().copied();
        if last != Some(number) {
            if let Some(last) = last {
                ensure!(last < number, "block {number} comes after block {last}");
            }
            let place = self.end()?;
            self.file.write(self.placement.prefix, place)?;
            self.allocated.push(number);
        }
        // It is the last one.
        let contents = self.end()?.checked_sub(self.placement.block);
        contents.context("no block is allocated")
    }
}

impl BlockSink for BlockFile<'_> {
    fn plain(&mut self, first: u64, mut bytes: &[u8]) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        let mut at = first
            .checked_mul(PIECE as u64)
            .context("the disk is too long")?;
        let block = self.placement.block;
        while !bytes.is_empty() {
            let within = at % block;
            let rest = usize::try_from(block - within).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(rest));
            let contents = self.contents(at / block)?;
            self.file.write(now, contents.saturating_add(within))?;
            // usize to u64: lossless on every target Rust has.
            at = at.saturating_add(now.len() as u64);
            bytes = later;
        }
        Ok(())
    }

    fn compressed(&mut self, number: u64, _bytes: &[u8]) -> Result<()> {
        bail!("block {number} is compressed, but the format has no compression")
    }
}
