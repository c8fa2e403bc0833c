//! The nodes of an inode besides itself: those with the addresses of its data, and the one with
//! extended attributes (`f2fs_get_node_path` and comments in `fs/f2fs/node.c`).

use std::ops::Range;

use zerocopy::little_endian::U32;

use super::ondisk::{POINTERS, XATTR_NODE_OFFSET};
use crate::fs::number::index;
use crate::tree::Content;

use super::INODE_BLOCKS;
use super::ondisk::BLOCK_SIZE;

/// Pointers in a node. usize to u64: lossless.
const EACH: u64 = POINTERS as u64;

/// Number of blocks in the longest file that Linux supports: those of the pointers in an inode to
/// two direct, two indirect and one double-indirect node (`max_file_blocks` in `fs/f2fs/super.c`).
pub const LONGEST_FILE: u64 = 2 * EACH + 2 * EACH * EACH + EACH * EACH * EACH;

/// Adjacent blocks of a file or directory that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first block within the file.
    pub first: u64,
    /// Number of blocks.
    pub length: u64,
    /// Its index among all blocks of the file that exist.
    pub index: u64,
}

/// Returns the runs of `ranges` of blocks, which must be in order. They may touch or overlap.
pub fn runs(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for range in ranges {
        let (mut first, mut index) = (range.start, 0);
        if let Some(last) = runs.last_mut() {
            let end = last.first + last.length;
            if range.start <= end {
                last.length = last.length.max(range.end.saturating_sub(last.first));
                continue;
            }
            first = range.start;
            index = last.index + last.length;
        }
        runs.push(Run {
            first,
            length: range.end.saturating_sub(first),
            index,
        });
    }
    runs
}

/// Returns the blocks of a file that contain data.
pub fn runs_of_file(content: &Content) -> Vec<Run> {
    runs(content.data_ranges().map(|range| {
        let end = range.offset.saturating_add(range.length);
        range.offset / BLOCK_SIZE..end.div_ceil(BLOCK_SIZE)
    }))
}

/// Returns the total length of `runs`.
pub fn length(runs: &[Run]) -> u64 {
    runs.last().map_or(0, |run| run.index + run.length)
}

/// Writes the addresses of the blocks from `first` on to `addresses`. Blocks that don't exist have
/// the address 0. The first existing block of the file has the address `base`.
pub fn fill(runs: &[Run], first: u64, base: u32, addresses: &mut [U32]) {
    // usize to u64: lossless.
    let end = first + addresses.len() as u64;
    let from = runs.partition_point(|run| run.first + run.length <= first);
    for run in runs[from..].iter().take_while(|run| run.first < end) {
        for block in run.first.max(first)..(run.first + run.length).min(end) {
            let at = run.index + (block - run.first);
            // The census has checked that all addresses have 32 bits.
            let address = u64::from(base) + at;
            addresses[index(block - first)] = U32::new(u32::try_from(address).unwrap_or(0));
        }
    }
}

/// The kind of a node that is not an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Extended attributes.
    Xattr,
    /// Addresses of data.
    Direct,
    /// Numbers of nodes.
    Indirect,
}

/// A node that is not an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its kind.
    pub kind: Kind,
    /// Its position among all nodes that the inode could have.
    pub offset: u32,
    /// The first block of the file below it.
    pub first: u64,
    /// The node that has its number, as an index in the list; `None` if that is the inode.
    pub parent: Option<usize>,
    /// Where its number is in the parent.
    pub slot: usize,
}

/// Returns the nodes of an inode with the blocks `runs`, in the order of their numbers.
pub fn nodes(runs: &[Run], has_xattr_node: bool) -> Vec<Node> {
    let mut list = List::default();
    if has_xattr_node {
        list.push(Kind::Xattr, XATTR_NODE_OFFSET, 0, None, 0);
    }
    let mut next = 0;
    for run in runs {
        let end = run.first + run.length;
        if end <= INODE_BLOCKS || run.length == 0 {
            continue;
        }
        let from = run.first.saturating_sub(INODE_BLOCKS) / EACH;
        let last = (end - 1 - INODE_BLOCKS) / EACH;
        for number in from.max(next)..=last {
            list.direct(number);
        }
        next = last + 1;
    }
    list.nodes
}

/// Returns the number of nodes that a file with `blocks` blocks and no holes needs, with its inode.
pub fn count(blocks: u64) -> u64 {
    let direct = blocks.saturating_sub(INODE_BLOCKS).div_ceil(EACH);
    let indirect = direct.saturating_sub(2).div_ceil(EACH);
    1 + direct + indirect + u64::from(indirect > 2)
}

#[derive(Default)]
struct List {
    nodes: Vec<Node>,
    double: Option<usize>,
    /// The current indirect node and its offset.
    indirect: Option<(usize, u32)>,
}

impl List {
    fn push(
        &mut self,
        kind: Kind,
        offset: u32,
        first: u64,
        parent: Option<usize>,
        slot: usize,
    ) -> usize {
        self.nodes.push(Node {
            kind,
            offset,
            first,
            parent,
            slot,
        });
        self.nodes.len() - 1
    }

    /// Adds the direct node `number`, and the indirect ones above it if it is their first.
    fn direct(&mut self, number: u64) {
        let first = INODE_BLOCKS + number * EACH;
        // The offset is below 2^21 for files of at most LONGEST_FILE blocks.
        let offset = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let Some(below) = number.checked_sub(2) else {
            self.push(Kind::Direct, offset(1 + number), first, None, index(number));
            return;
        };
        let (group, slot) = (below / EACH, index(below % EACH));
        let indirect = match group.checked_sub(2) {
            None => {
                let position = offset(3 + group * (EACH + 1));
                self.indirect(position, first, None, index(2 + group))
            }
            Some(group) => {
                let double = match self.double {
                    Some(double) => double,
                    None => self.push(Kind::Indirect, offset(5 + 2 * EACH), first, None, 4),
                };
                self.double = Some(double);
                let position = offset(6 + 2 * EACH + group * (EACH + 1));
                self.indirect(position, first, Some(double), index(group))
            }
        };
        let (parent, position) = indirect;
        let position = offset(u64::from(position) + 1 + below % EACH);
        self.push(Kind::Direct, position, first, Some(parent), slot);
    }

    fn indirect(
        &mut self,
        offset: u32,
        first: u64,
        parent: Option<usize>,
        slot: usize,
    ) -> (usize, u32) {
        match self.indirect {
            Some(current) if current.1 == offset => current,
            _ => {
                let at = self.push(Kind::Indirect, offset, first, parent, slot);
                self.indirect = Some((at, offset));
                (at, offset)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets<const N: usize>(starts: [(u64, u64); N]) -> Vec<(Kind, u32, usize)> {
        let list = nodes(&runs(starts.iter().map(|&(start, end)| start..end)), false);
        list.iter()
            .map(|node| (node.kind, node.offset, node.slot))
            .collect()
    }

    #[test]
    fn nodes_have_the_offsets_of_the_kernel() {
        let (direct, indirect) = (Kind::Direct, Kind::Indirect);
        assert_eq!(offsets([(0, 873)]), []);
        assert_eq!(offsets([(872, 874)]), [(direct, 1, 0)]);
        let second = 873 + 1018;
        assert_eq!(offsets([(second, second + 1)]), [(direct, 2, 1)]);
        let third = second + 1018;
        assert_eq!(
            offsets([(third, third + 1), (third + 1018, third + 1019)]),
            [(indirect, 3, 2), (direct, 4, 0), (direct, 5, 1)]
        );
        let fourth = third + 1018 * 1018;
        assert_eq!(
            offsets([(fourth, fourth + 1)]),
            [(indirect, 4 + 1018, 3), (direct, 5 + 1018, 0)]
        );
        let fifth = fourth + 1018 * 1018;
        let next = fifth + 1018 * 1018;
        assert_eq!(
            offsets([(fifth, fifth + 1), (next + 1018, next + 1019)]),
            [
                (indirect, 5 + 2 * 1018, 4),
                (indirect, 6 + 2 * 1018, 0),
                (direct, 7 + 2 * 1018, 0),
                (indirect, 6 + 2 * 1018 + 1019, 1),
                (direct, 7 + 2 * 1018 + 1019 + 1, 1),
            ]
        );
    }

    #[test]
    fn files_without_holes_have_as_many_nodes_as_counted() {
        for blocks in [0, 1, 873, 874, 2909, 2910, 1_039_000, 2_075_558, 2_080_000] {
            let list = nodes(&runs(std::iter::once(0..blocks)), false);
            assert_eq!(count(blocks), 1 + list.len() as u64, "{blocks}");
        }
    }

    #[test]
    fn touching_ranges_are_one_run() {
        let found = runs([0..2, 1..3, 3..4, 6..7].into_iter());
        let run = |first, length, index| Run {
            first,
            length,
            index,
        };
        assert_eq!(found, [run(0, 4, 0), run(6, 1, 4)]);
        assert_eq!(length(&found), 5);
        let mut addresses = [U32::new(9); 4];
        addresses.fill(U32::new(0));
        fill(&found, 3, 100, &mut addresses);
        assert_eq!(addresses.map(U32::get), [103, 0, 0, 104]);
    }
}
