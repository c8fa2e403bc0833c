//! Files with holes: chunks of equal length, each stored or a hole.

use super::ondisk::{BLOCK_SIZE, NO_BLOCK};
use crate::fs::content::data_blocks;
use crate::tree::Content;

/// Lengths of chunks are 2^0 to 2^this blocks (`EROFS_CHUNK_FORMAT_BLKBITS_MASK`).
const MOST_BITS: u8 = 31;

/// The length of a file's chunks, and the space that they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    /// A chunk is 2^this blocks.
    pub bits: u8,
    /// Number of chunks, and of entries of 4 bytes after the inode.
    pub count: u64,
    /// Number of blocks that are stored.
    pub blocks: u64,
}

impl Chunks {
    /// Returns the length of chunks with which the file takes the least space, or `None` if it
    /// takes no more without chunks.
    pub fn best(content: &Content) -> Option<Chunks> {
        let whole = content.size.div_ceil(BLOCK_SIZE) * BLOCK_SIZE;
        (0..=MOST_BITS)
            .map(|bits| Chunks::new(content, bits))
            .min_by_key(Chunks::space)
            .filter(|chunks| chunks.space() < whole)
    }

    fn new(content: &Content, bits: u8) -> Chunks {
        let total = content.size.div_ceil(BLOCK_SIZE);
        let mut chunks = Chunks {
            bits,
            count: total.div_ceil(1 << bits),
            blocks: 0,
        };
        chunks.blocks = chunks
            .stored(content)
            .map(|(first, end)| (end << bits).min(total) - (first << bits))
            .sum();
        chunks
    }

    /// Space in bytes for the blocks and the entries.
    fn space(&self) -> u64 {
        let entries = self.count.saturating_mul(4);
        entries.saturating_add(self.blocks.saturating_mul(BLOCK_SIZE))
    }

    /// Returns the chunks that are stored, as ranges of chunk numbers.
    fn stored(self, content: &Content) -> impl Iterator<Item = (u64, u64)> + use<'_> {
        let length = BLOCK_SIZE << self.bits;
        let mut ranges = content
            .data_ranges()
            .map(move |range| {
                let end = range.offset + range.length;
                (range.offset / length, end.div_ceil(length))
            })
            .peekable();
        std::iter::from_fn(move || {
            let (first, mut end) = ranges.next()?;
            while let Some((_, next)) = ranges.next_if(|&(start, _)| start <= end) {
                end = end.max(next);
            }
            Some((first, end))
        })
    }

    /// Returns the entries: the number of the first block of each chunk. The first block of the
    /// file is `start`.
    pub fn entries(self, content: &Content, start: u32) -> impl Iterator<Item = u32> {
        let mut stored = self.stored(content).peekable();
        let mut block = start;
        (0..self.count).map(move |chunk| {
            while stored.next_if(|&(_, end)| end <= chunk).is_some() {}
            match stored.peek() {
                Some(&(first, _)) if first <= chunk => {
                    let entry = block;
                    // Only the last block of the file is followed by none, so this ends in range.
                    block = block.saturating_add(1u32.checked_shl(self.bits.into()).unwrap_or(0));
                    entry
                }
                _ => NO_BLOCK,
            }
        })
    }

    /// Returns the parts of the file that are data: for each its offset in the file and among the
    /// stored blocks, and its length. Everything is in whole blocks, except for the file's end.
    pub fn parts(self, content: &Content) -> impl Iterator<Item = Part> {
        let chunk_length = BLOCK_SIZE << self.bits;
        let mut stored = self.stored(content).peekable();
        let mut before = 0;
        data_blocks(content).map(move |blocks| {
            let offset = blocks.start * BLOCK_SIZE;
            let end = (blocks.end * BLOCK_SIZE).min(content.size);
            // Every part lies in a single range of chunks.
            while let Some((first, end)) = stored.next_if(|&(_, end)| end * chunk_length <= offset)
            {
                before += (end - first) * chunk_length;
            }
            let first = stored.peek().map_or(0, |&(first, _)| first);
            Part {
                file_offset: offset,
                stored_offset: before + offset - first * chunk_length,
                length: end - offset,
            }
        })
    }
}

/// A part of a file that is data. All numbers are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it begins in the file.
    pub file_offset: u64,
    /// Where it begins in what is stored of the file.
    pub stored_offset: u64,
    /// Its length.
    pub length: u64,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tree::{DataRange, Source};

    fn content(size: u64, ranges: &[(u64, u64)]) -> Content {
        let ranges = ranges
            .iter()
            .map(|&(offset, length)| DataRange { offset, length });
        Content {
            size,
            source: Source::Bytes(Arc::from(&b""[..])),
            data: Some(Box::new(ranges.collect())),
        }
    }

    #[test]
    fn chunks_are_as_long_as_holes_allow() {
        const MIB: u64 = 1 << 20;
        let all = content(16 << 40, &[]);
        let chunks = Chunks::best(&all).unwrap();
        assert_eq!((chunks.bits, chunks.count, chunks.blocks), (31, 2, 0));
        let two = content(64 * MIB, &[(0, 4 * MIB), (32 * MIB, 4 * MIB)]);
        let chunks = Chunks::best(&two).unwrap();
        assert_eq!((chunks.bits, chunks.count, chunks.blocks), (10, 16, 2048));
        let start = 100;
        let entries: Vec<u32> = chunks.entries(&two, start).collect();
        assert_eq!((entries[0], entries[1], entries[8]), (100, NO_BLOCK, 1124));
        let parts: Vec<Part> = chunks.parts(&two).collect();
        let part = |file_offset, stored_offset, length| Part {
            file_offset,
            stored_offset,
            length,
        };
        let expected = [part(0, 0, 4 * MIB), part(32 * MIB, 4 * MIB, 4 * MIB)];
        assert_eq!(parts, expected);
        // A hole of one block is worth it if the file is short.
        let short = content(12_288, &[(0, 4096), (8192, 100)]);
        let chunks = Chunks::best(&short).unwrap();
        assert_eq!((chunks.bits, chunks.count, chunks.blocks), (0, 3, 2));
        assert_eq!(Chunks::best(&content(5000, &[(0, 5000)])), None);
        assert_eq!(Chunks::best(&content(5000, &[(100, 1)])).unwrap().blocks, 1);
    }
}
