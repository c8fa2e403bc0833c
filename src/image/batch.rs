//! Batches, the units of work of one thread: extents that are written together, or a piece of a
//! large extent.

use crate::fs::{BLOCK, DataExtent};

/// The most bytes that are gathered in memory for one write. The kernel allocates page cache in
/// units that are as large as the write permits.
pub const GATHER: u64 = 1 << 20;

/// Extents of at least this length are copied individually, by the kernel if it can do so
/// efficiently. It is at most [`GATHER`].
const LARGE: u64 = 256 << 10;

/// The size of the pieces that large extents are cut into, so that a huge file keeps all threads
/// busy.
const PIECE: u64 = 16 << 20;

/// A unit of work of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// The extents `first..end`, which are adjacent when rounded up to whole blocks, and have at
    /// most [`GATHER`] bytes in total.
    Small {
        /// Index of the first extent.
        first: usize,
        /// Index after the last one.
        end: usize,
    },
    /// A part of the extent `extent`.
    Piece {
        /// Index of the extent.
        extent: usize,
        /// Where the part begins within the extent, in bytes.
        skip: u64,
        /// Its length in bytes.
        length: u64,
    },
}

/// Cuts `extents` into batches, in their order.
pub fn batches(extents: &[DataExtent]) -> Vec<Batch> {
    let mut batches = Vec::new();
    // The open batch: its first extent, where its bytes begin, and where the next extent would have
    // to begin.
    let mut open: Option<(usize, u64, u64)> = None;
    for (index, extent) in extents.iter().enumerate() {
        if extent.length >= LARGE {
            close(&mut batches, open.take(), index);
            let mut skip = 0;
            while skip < extent.length {
                let length = PIECE.min(extent.length - skip);
                batches.push(Batch::Piece {
                    extent: index,
                    skip,
                    length,
                });
                skip += length;
            }
            continue;
        }
        let end = extent.offset + extent.length.next_multiple_of(BLOCK);
        open = match open {
            Some((first, start, next)) if extent.offset == next && end - start <= GATHER => {
                Some((first, start, end))
            }
            before => {
                close(&mut batches, before, index);
                Some((index, extent.offset, end))
            }
        };
    }
    close(&mut batches, open, extents.len());
    batches
}

fn close(batches: &mut Vec<Batch>, open: Option<(usize, u64, u64)>, end: usize) {
    if let Some((first, _, _)) = open {
        batches.push(Batch::Small { first, end });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::extents;

    #[test]
    fn adjacent_extents_are_gathered_and_large_ones_are_cut() {
        let extents = extents([
            (0, 1),
            (4096, 4096),
            (8192, 5),
            // A gap for metadata.
            (20480, 10),
            (24576, 40 << 20),
            (24576 + (40 << 20), 7),
        ]);
        let piece = |skip, length| Batch::Piece {
            extent: 4,
            skip,
            length,
        };
        assert_eq!(
            batches(&extents),
            [
                Batch::Small { first: 0, end: 3 },
                Batch::Small { first: 3, end: 4 },
                piece(0, 16 << 20),
                piece(16 << 20, 16 << 20),
                piece(32 << 20, 8 << 20),
                Batch::Small { first: 5, end: 6 },
            ]
        );
    }

    #[test]
    fn no_batch_is_longer_than_the_buffer() {
        let extents = extents((0..1000).map(|i| (i * 8192, 4097)));
        let mut next = 0;
        for batch in batches(&extents) {
            let Batch::Small { first, end } = batch else {
                panic!("{batch:?}")
            };
            assert_eq!(first, next);
            assert!(end - first <= 128 && end > first);
            next = end;
        }
        assert_eq!(next, 1000);
    }
}
