//! A disk whose blocks are allocated in its file when they are first written, one after the other:
//! what dynamic VHD, VDI and VHDX have in common ([`blocks`]), and the table of the first two, which
//! says where each block is.

pub(super) mod blocks;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result};

use self::blocks::{BlockFile, Placement};
use super::file::ImageFile;
use crate::image::Image;
use crate::layout::SECTOR;

/// The length in bytes of the pieces in which the table is written.
const TABLE_PIECE: usize = 64 << 10;

/// The table entry of a block that is not allocated, in either byte order.
const UNALLOCATED: [u8; 4] = [0xff; 4];

/// How a format uses its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrangement {
    /// The length of the disk in bytes.
    pub disk: u64,
    /// The length of a block in bytes, a multiple of [`blocks::PIECE`].
    pub block: u64,
    /// What precedes each block in the file.
    pub prefix: &'static [u8],
    /// Where the table begins in the file, in bytes.
    pub table: u64,
    /// The byte that fills the table's last sector.
    pub padding: u8,
    /// The length in bytes of what follows the last block.
    pub end: u64,
    /// The table entry of a block, from its number in the file and its offset there in bytes.
    pub entry: fn(u32, u64) -> Result<[u8; 4]>,
}

impl Arrangement {
    /// The number of blocks of the disk.
    ///
    /// # Errors
    /// If it does not fit in 32 bits.
    pub fn blocks(&self) -> Result<u32> {
        let blocks = self.disk.div_ceil(self.block);
        u32::try_from(blocks).with_context(|| format!("{blocks} blocks are too many"))
    }

    /// Where the first block begins in the file, in bytes. The table ends there.
    ///
    /// # Errors
    /// As for [`Arrangement::blocks`].
    pub fn data(&self) -> Result<u64> {
        let entries = u64::from(self.blocks()?) * 4;
        let data = self.table.checked_add(entries.next_multiple_of(SECTOR));
        data.context("the table is too long")
    }

    /// Where the block with the number `index` in the file begins there, in bytes, with its prefix.
    ///
    /// # Errors
    /// If it is more than a file can hold.
    pub fn place(&self, index: u32) -> Result<u64> {
        self.placement()?.place(index)
    }

    fn placement(&self) -> Result<Placement> {
        Ok(Placement {
            disk: self.disk,
            data: self.data()?,
            block: self.block,
            prefix: self.prefix,
        })
    }

    /// Writes the table to `file`. `allocated` are the numbers on the disk of the blocks in it.
    fn write_table(&self, allocated: &[u32], file: &mut ImageFile<'_>) -> Result<()> {
        let placement = self.placement()?;
        let mut offset = self.table;
        let mut piece = Vec::with_capacity(TABLE_PIECE);
        let mut allocated = (0_u32..).zip(allocated).peekable();
        for number in 0..self.blocks()? {
            let entry = match allocated.next_if(|(_, found)| **found == number) {
                Some((index, _)) => (self.entry)(index, placement.place(index)?)?,
                None => UNALLOCATED,
            };
            piece.extend_from_slice(&entry);
            if piece.len() >= TABLE_PIECE {
                file.write(&piece, offset)?;
                // usize to u64: lossless on every target Rust has.
                offset = offset.saturating_add(piece.len() as u64);
                piece.clear();
            }
        }
        let rest = usize::try_from(placement.data.saturating_sub(offset))
            .context("the table is longer than its entries")?;
        piece.resize(rest, self.padding);
        file.write(&piece, offset)
    }
}

/// Writes the blocks of `image` and the table to the file `path`. Returns the file, which still
/// needs its headers, and the number of allocated blocks.
///
/// # Errors
/// As for [`blocks::write`].
pub(super) fn write<'a>(
    image: &'a Image,
    arrangement: Arrangement,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(ImageFile<'a>, u32)> {
    let placement = arrangement.placement()?;
    let longest = placement.place(arrangement.blocks()?)?;
    let longest = longest.saturating_add(arrangement.end);
    let BlockFile {
        mut file,
        allocated,
        ..
    } = blocks::write(image, placement, longest, path, progress)?;
    arrangement.write_table(&allocated, &mut file)?;
    let count = u32::try_from(allocated.len()).context("too many blocks are allocated")?;
    Ok((file, count))
}
