//! Where everything is on the device.
//!
//! ```text
//! 0        nothing, except the first superblock at 64 KiB
//! 1 MiB    the system chunk, which contains the chunk tree, and its copy
//! then     data chunks of 1 GiB, of which the last one may be shorter or longer
//! then     metadata chunks, each followed by its copy
//! then     nothing, for chunks that Linux makes
//! ```
//!
//! The address of a chunk is where its first copy is on the device. Only the last data chunk, the
//! last metadata chunk, and what is behind them depend on the length of the device.

use std::ops::Range;

use super::ondisk::{Chunk, NODE_SIZE, SECTOR_SIZE, SuperBlock, block_group};

/// The unit of everything: chunks begin and end at its multiples.
pub const UNIT: u64 = Chunk::STRIPE_LENGTH;

/// The beginning of the device, in which there is no chunk (`BTRFS_DEVICE_RANGE_RESERVED`).
const RESERVED: u64 = 1 << 20;

/// Length of the system chunk, as `mkfs.btrfs` makes it. The chunk tree may fill half of it.
const SYSTEM_LENGTH: u64 = 8 << 20;

/// Where the data chunks begin.
pub const DATA_START: u64 = RESERVED + 2 * SYSTEM_LENGTH;

/// The length of a data chunk, as Linux makes them.
pub const DATA_CHUNK: u64 = 1 << 30;

/// The shortest data chunk, as `mkfs.btrfs` makes it.
const SHORTEST_DATA: u64 = 8 << 20;

/// The length of a metadata chunk, except the last one. Linux makes longer ones. A chunk is kept in
/// memory until both copies are written.
pub const METADATA_CHUNK: u64 = 32 << 20;

/// A chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPlace {
    /// What is in it, and in how many copies: `block_group`.
    pub kind: u64,
    /// Its address, and where its first copy is on the device.
    pub start: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl ChunkPlace {
    /// The addresses in it.
    pub fn addresses(&self) -> Range<u64> {
        self.start..self.start + self.length
    }

    /// Where its copies begin on the device. A copy directly follows the other.
    pub fn copies(&self) -> impl Iterator<Item = u64> + use<> {
        let (start, length) = (self.start, self.length);
        let count = if self.kind & block_group::DUP == 0 {
            1
        } else {
            2
        };
        (0..count).map(move |copy| start + copy * length)
    }

    /// The stripes of addresses in it that must not be used because a superblock is in one of their
    /// copies, in ascending order. Linux leaves out the same ones.
    pub fn reserved(&self) -> Vec<Range<u64>> {
        let mut stripes: Vec<Range<u64>> = self
            .copies()
            .flat_map(|copy| {
                SuperBlock::OFFSETS
                    .into_iter()
                    .filter(move |offset| (copy..copy + self.length).contains(offset))
                    .map(move |offset| {
                        let stripe = self.start + (offset - copy) / UNIT * UNIT;
                        stripe..stripe + UNIT
                    })
            })
            .collect();
        stripes.sort_unstable_by_key(|stripe| stripe.start);
        stripes.dedup();
        stripes
    }
}

/// Returns the first place at or after `at` for `least` bytes of data, and the number of bytes that
/// are free there. Chunks are as long as they can be.
pub fn data_room(at: u64, least: u64) -> (u64, u64) {
    let mut at = at;
    loop {
        let chunk_end = (at - DATA_START) / DATA_CHUNK * DATA_CHUNK + DATA_CHUNK + DATA_START;
        let stripe = SuperBlock::OFFSETS
            .into_iter()
            .map(|offset| offset..offset + UNIT)
            .find(|stripe| stripe.end > at && stripe.start < chunk_end);
        let end = stripe.as_ref().map_or(chunk_end, |stripe| stripe.start);
        let room = end.saturating_sub(at);
        if room >= least {
            return (at, room);
        }
        at = stripe.map_or(chunk_end, |stripe| stripe.end);
    }
}

/// The chunks of a file system, in the order of their addresses: the system chunk, data chunks, and
/// metadata chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The length of the device in bytes, in whole sectors.
    pub length: u64,
    /// All chunks.
    pub chunks: Vec<ChunkPlace>,
}

/// What the lengths of chunks depend on, all in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The address after the last data.
    pub data_end: u64,
    /// Metadata.
    pub metadata: u64,
    /// Metadata that Linux reserves for itself, and some for it to work with.
    pub working: u64,
}

/// How the free space of a device is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Division {
    /// Bytes in the last metadata chunk, in addition to what is needed at least.
    metadata: u64,
    /// Bytes in the last data chunk.
    data: u64,
    /// Bytes that ordinary users can fill at least.
    available: u64,
}

/// What is lost to rounding and to superblocks.
const LOSS: u64 = 8 * UNIT;

impl Needs {
    /// The end of the last data chunk without free space.
    fn least_data_end(&self) -> u64 {
        let end = self.data_end.max(DATA_START + SHORTEST_DATA);
        end.next_multiple_of(UNIT)
    }

    /// The length of the last metadata chunk without free space, and the number of those before it.
    fn least_metadata(&self) -> (u64, u64) {
        let full = self.metadata / METADATA_CHUNK;
        let last = self.metadata - full * METADATA_CHUNK + self.working;
        (last.max(METADATA_CHUNK).next_multiple_of(UNIT), full)
    }

    /// The length of the shortest device.
    pub fn smallest(&self) -> u64 {
        let (last, full) = self.least_metadata();
        self.least_data_end() + 2 * (full * METADATA_CHUNK + last)
    }

    /// Divides `free` bytes between metadata and data.
    ///
    /// Linux makes a new metadata chunk when the old ones are filled to 80 %, and takes up to a
    /// tenth of the device for it, which is then missing for data. So the metadata gets enough for
    /// that not to happen when the free space is filled with large files: a quarter of what is in
    /// use, and the checksums. With little free space, it gets only an eighth of that space (a
    /// sixteenth for each copy), and all the rest is in the data chunk, where Linux does not take
    /// it away.
    fn divide(&self, free: u64) -> Division {
        let enough = self.metadata / 4 + (32 << 20) + free / 400;
        let metadata = (free / 16).min(enough);
        let data = free - 2 * metadata;
        Division {
            metadata,
            // Everything as long as the metadata has not got enough.
            data: data.min(16 * enough),
            available: data.saturating_sub(LOSS),
        }
    }

    /// Returns the bytes that ordinary users can fill on a device of `length` bytes, or `None` if it
    /// is too short.
    pub fn available(&self, length: u64) -> Option<u64> {
        let length = length / SECTOR_SIZE * SECTOR_SIZE;
        let free = length.checked_sub(self.smallest())?;
        let unused = self.least_data_end() - self.data_end.next_multiple_of(UNIT);
        Some(self.divide(free).available + unused)
    }

    /// Returns the length of the shortest device on which ordinary users can fill `free` bytes, or
    /// `None` if there is none of at most `longest` bytes.
    pub fn smallest_with(&self, free: u64, longest: u64) -> Option<u64> {
        let fits = |length| {
            self.available(length)
                .is_some_and(|available| available >= free)
        };
        let smallest = self.smallest();
        if smallest > longest || !fits(longest) {
            return None;
        }
        if fits(smallest) {
            return Some(smallest);
        }
        // `low` does not fit, `high` does; both are multiples of the unit above the smallest.
        let (mut low, mut high) = (smallest, longest.next_multiple_of(UNIT));
        while high - low > UNIT {
            let middle = low + (high - low) / 2 / UNIT * UNIT;
            match fits(middle) {
                true => high = middle,
                false => low = middle,
            }
        }
        Some(high)
    }

    /// Lays out a device of `length` bytes, or returns `None` if it is too short.
    pub fn lay_out(&self, length: u64) -> Option<Layout> {
        let free = length.checked_sub(self.smallest())? / UNIT * UNIT;
        let division = self.divide(free);
        let mut chunks = vec![ChunkPlace {
            kind: block_group::SYSTEM | block_group::DUP,
            start: RESERVED,
            length: SYSTEM_LENGTH,
        }];
        let mut at = DATA_START;
        let mut add = |kind, length| {
            let chunk = ChunkPlace {
                kind,
                start: at,
                length,
            };
            at = chunk.copies().last().unwrap_or(at) + length;
            chunks.push(chunk);
        };
        let mut data = self.least_data_end() - DATA_START;
        while data > DATA_CHUNK {
            add(block_group::DATA, DATA_CHUNK);
            data -= DATA_CHUNK;
        }
        add(block_group::DATA, data + division.data / UNIT * UNIT);
        let (last, full) = self.least_metadata();
        let metadata = block_group::METADATA | block_group::DUP;
        for _ in 0..full {
            add(metadata, METADATA_CHUNK);
        }
        add(metadata, last + division.metadata / UNIT * UNIT);
        Some(Layout {
            length: length / SECTOR_SIZE * SECTOR_SIZE,
            chunks,
        })
    }
}

impl Layout {
    /// Bytes of the device in chunks.
    pub fn allocated(&self) -> u64 {
        let all = self.chunks.iter();
        all.flat_map(|chunk| chunk.copies().map(|_| chunk.length))
            .sum()
    }

    /// The places for nodes in the chunks of this kind.
    pub fn nodes(&self, kind: u64) -> NodePlaces {
        let mut places = NodePlaces::default();
        for (number, chunk) in self.chunks.iter().enumerate() {
            if chunk.kind & kind == 0 {
                continue;
            }
            let mut at = chunk.start;
            let end = chunk.start + chunk.length;
            for stripe in chunk.reserved() {
                places.add(number, at..stripe.start);
                at = stripe.end;
            }
            places.add(number, at..end);
        }
        places
    }
}

/// A range of addresses for nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The number of the chunk among all chunks.
    pub chunk: usize,
    /// The number of the first node.
    pub first: u64,
    /// The addresses.
    pub addresses: Range<u64>,
}

/// All addresses for nodes, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePlaces {
    /// The ranges.
    pub runs: Vec<Run>,
}

impl NodePlaces {
    fn add(&mut self, chunk: usize, addresses: Range<u64>) {
        if addresses.is_empty() {
            return;
        }
        let first = self.runs.last().map_or(0, Run::end);
        self.runs.push(Run {
            chunk,
            first,
            addresses,
        });
    }

    /// Returns the run that contains the node `number`.
    pub fn run(&self, number: u64) -> Option<&Run> {
        let after = self.runs.partition_point(|run| run.first <= number);
        let run = self.runs.get(after.checked_sub(1)?)?;
        (number < run.end()).then_some(run)
    }
}

impl Run {
    /// The number after that of the last node.
    pub fn end(&self) -> u64 {
        self.first + (self.addresses.end - self.addresses.start) / NODE_SIZE
    }

    /// The address of the node `number`, which is in this run.
    pub fn address(&self, number: u64) -> u64 {
        self.addresses.start + (number - self.first) * NODE_SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn data_is_not_at_superblocks_nor_across_chunks() {
        let end = DATA_START + GIB;
        for (at, least, expected) in [
            (DATA_START, 4096, (DATA_START, 47 * MIB)),
            (64 * MIB - 4096, 4096, (64 * MIB - 4096, 4096)),
            (
                64 * MIB - 4096,
                8192,
                (64 * MIB + UNIT, end - 64 * MIB - UNIT),
            ),
            (64 * MIB, 4096, (64 * MIB + UNIT, end - 64 * MIB - UNIT)),
            (end - 4096, 4096, (end - 4096, 4096)),
            (end - 4096, 8192, (end, GIB)),
            (256 * GIB, 4096, (256 * GIB + UNIT, 17 * MIB - UNIT)),
        ] {
            assert_eq!(data_room(at, least), expected, "{least} at {at}");
        }
    }

    #[test]
    fn stripes_with_superblocks_in_any_copy_are_reserved() {
        let chunk = |kind, start, length| ChunkPlace {
            kind,
            start,
            length,
        };
        let dup = block_group::METADATA | block_group::DUP;
        for (chunk, expected) in [
            (chunk(block_group::DATA, 17 * MIB, GIB), vec![64 * MIB]),
            (chunk(block_group::DATA, 65 * MIB, GIB), vec![]),
            (chunk(dup, 60 * MIB, 32 * MIB), vec![64 * MIB]),
            (chunk(dup, 40 * MIB, 20 * MIB), vec![44 * MIB]),
            (
                chunk(dup, MIB, 255 * GIB + 3 * UNIT),
                vec![64 * MIB, GIB + MIB - MIB - 3 * UNIT],
            ),
        ] {
            let starts: Vec<u64> = chunk.reserved().iter().map(|range| range.start).collect();
            assert_eq!(starts, expected, "{chunk:?}");
        }
    }

    #[test]
    fn layouts_are_within_the_device_and_grow_with_it() {
        for data in [0, 1, 40 * MIB, GIB, GIB + 1, 10 * GIB] {
            for metadata in [9 * NODE_SIZE, 31 * MIB, 64 * MIB, 700 * MIB] {
                let needs = Needs {
                    data_end: DATA_START + data,
                    metadata,
                    working: 14 * MIB,
                };
                let smallest = needs.smallest();
                assert_eq!(needs.lay_out(smallest - 1), None);
                let mut last = 0;
                for more in (0..2000u64).map(|step| step * step * step / 7 * 4096) {
                    let length = smallest + more;
                    let available = needs.available(length).unwrap();
                    assert!(available >= last);
                    last = available;
                    let layout = needs.lay_out(length).unwrap();
                    let end = layout.chunks.last().unwrap();
                    assert!(end.copies().last().unwrap() + end.length <= length);
                    // What is not in chunks is for data.
                    let is_data = |chunk: &&ChunkPlace| chunk.kind == block_group::DATA;
                    let data_chunks = layout.chunks.iter().filter(is_data);
                    let in_chunks: u64 = data_chunks.clone().map(|chunk| chunk.length).sum();
                    let unallocated = (length - MIB - layout.allocated()) / UNIT * UNIT;
                    let superblocks = SuperBlock::OFFSETS
                        .into_iter()
                        .filter(|offset| {
                            let mut chunks = data_chunks.clone();
                            (DATA_START + data..length).contains(offset)
                                && (chunks.any(|chunk| chunk.addresses().contains(offset))
                                    || *offset >= end.copies().last().unwrap() + end.length)
                        })
                        .count() as u64;
                    let room = in_chunks + unallocated - data - superblocks * UNIT;
                    assert!(room >= available, "{room} < {available}");
                    let found = needs.smallest_with(available, 1 << 60).unwrap();
                    assert!(found <= length.next_multiple_of(UNIT));
                    assert!(needs.available(found).unwrap() >= available);
                }
            }
        }
    }
}
