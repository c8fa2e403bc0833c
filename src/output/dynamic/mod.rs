//! A disk whose blocks are allocated in its file when they are first written, one after the other:
//! what dynamic VHD and VDI have in common. A table says where each block is.

#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::file::ImageFile;
use crate::image::{BlockSink, Blocks, Image, write_blocks};
use crate::layout::SECTOR;

/// The length in bytes of the pieces of a disk that are not written if they have only zeros. Blocks
/// of these formats are larger, so that allocated blocks have holes.
const PIECE: usize = 64 << 10;

/// The length in bytes of the pieces in which the table is written.
const TABLE_PIECE: usize = 64 << 10;

/// The table entry of a block that is not allocated, in either byte order.
const UNALLOCATED: [u8; 4] = [0xff; 4];

/// How a format uses its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrangement {
    /// The length of the disk in bytes.
    pub disk: u64,
    /// The length of a block in bytes, a multiple of [`PIECE`].
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
        // usize to u64: lossless on every target Rust has.
        let stride = self.block.checked_add(self.prefix.len() as u64);
        stride
            .and_then(|stride| stride.checked_mul(index.into()))
            .and_then(|offset| offset.checked_add(self.data().ok()?))
            .with_context(|| format!("the file is too long for a disk of {} bytes", self.disk))
    }
}

/// Writes the blocks of `image` and the table to the file `path`. Returns the file, which still
/// needs its headers, and the number of allocated blocks.
///
/// # Errors
/// As for [`write_blocks`], and if writing fails.
pub(super) fn write<'a>(
    image: &'a Image,
    arrangement: Arrangement,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(ImageFile<'a>, u32)> {
    let longest = arrangement.place(arrangement.blocks()?)?;
    let longest = longest.saturating_add(arrangement.end);
    let mut file = BlockFile {
        arrangement,
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
    file.write_table()?;
    let count = file.count()?;
    Ok((file.file, count))
}

/// The file while blocks are written.
struct BlockFile<'a> {
    arrangement: Arrangement,
    file: ImageFile<'a>,
    /// The numbers on the disk of the blocks in the file, in order.
    allocated: Vec<u32>,
}

impl BlockFile<'_> {
    /// The number of allocated blocks.
    fn count(&self) -> Result<u32> {
        u32::try_from(self.allocated.len()).context("too many blocks are allocated")
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
            let place = self.arrangement.place(self.count()?)?;
            self.file.write(self.arrangement.prefix, place)?;
            self.allocated.push(number);
        }
        let place = self.arrangement.place(self.count()?.saturating_sub(1))?;
        // usize to u64: lossless on every target Rust has.
        Ok(place.saturating_add(self.arrangement.prefix.len() as u64))
    }

    fn write_table(&mut self) -> Result<()> {
        let arrangement = self.arrangement;
        let mut offset = arrangement.table;
        let mut piece = Vec::with_capacity(TABLE_PIECE);
        let mut allocated = (0_u32..).zip(&self.allocated).peekable();
        for number in 0..arrangement.blocks()? {
            let entry = match allocated.next_if(|(_, found)| **found == number) {
                Some((index, _)) => (arrangement.entry)(index, arrangement.place(index)?)?,
                None => UNALLOCATED,
            };
            piece.extend_from_slice(&entry);
            if piece.len() >= TABLE_PIECE {
                self.file.write(&piece, offset)?;
                // usize to u64: lossless on every target Rust has.
                offset = offset.saturating_add(piece.len() as u64);
                piece.clear();
            }
        }
        let rest = usize::try_from(arrangement.data()?.saturating_sub(offset))
            .context("the table is longer than its entries")?;
        piece.resize(rest, arrangement.padding);
        self.file.write(&piece, offset)
    }
}

impl BlockSink for BlockFile<'_> {
    fn plain(&mut self, first: u64, mut bytes: &[u8]) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        let mut at = first
            .checked_mul(PIECE as u64)
            .context("the disk is too long")?;
        let block = self.arrangement.block;
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
