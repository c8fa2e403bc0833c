//! What the bytes of a file system are used for.

use std::ops::Range;

/// Bytes of a file or of the file system's own structures that are adjacent in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first byte in the file.
    pub at: u64,
    /// The number of bytes.
    pub length: u64,
    /// The first byte in the file system; `None` for bytes that are zeros and not stored.
    pub place: Option<u64>,
}

/// What bytes are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// The superblock, or the copy of it in a group.
    Superblock(u32),
    /// The group descriptors, or the copy of them in a group.
    Descriptors(u32),
    /// Blocks that are reserved for more group descriptors.
    ReservedDescriptors(u32),
    /// A group's bitmap of blocks.
    BlockBitmap(u32),
    /// A group's bitmap of inodes.
    InodeBitmap(u32),
    /// A group's part of the inode table.
    InodeTable(u32),
    /// The journal.
    Journal,
    /// The blocks of a directory with this inode or first cluster.
    Directory(u64),
    /// A block of the extent tree or block map of an inode.
    Map(u64),
    /// The extended attributes of inodes; the first one with this block.
    Attributes(u64),
    /// The contents of a file with this inode or first cluster.
    Contents(u64),
    /// After the end of a file with this inode or first cluster, in its last block.
    Slack(u64),
    /// FAT: the boot sector.
    BootSector,
    /// FAT: the copy of the boot sector.
    BootSectorCopy,
    /// FAT: the sector of free counts, or its copy.
    FsInfo,
    /// FAT: other sectors before the allocation tables.
    Reserved,
    /// FAT: an allocation table, from 0.
    Table(u32),
    /// Marked as damaged, or as in use without an owner.
    Lost,
    /// Not in use.
    Free,
    /// After the last block or cluster.
    Beyond,
}

/// What each byte of a file system is used for. Later entries win.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    ranges: Vec<(u64, u64, Owner)>,
}

impl Owners {
    /// Records that the bytes of `range` belong to `owner`.
    pub fn add(&mut self, range: Range<u64>, owner: Owner) {
        if range.start >= range.end {
            return;
        }
        // Structures and files are mostly added in order.
        match self.ranges.last_mut() {
            Some((_, end, last)) if *last == owner && *end == range.start => *end = range.end,
            _ => self.ranges.push((range.start, range.end, owner)),
        }
    }

    /// Sorts what was added.
    pub fn finish(mut self) -> Owners {
        self.ranges.sort_by_key(|&(start, ..)| start);
        self.ranges.shrink_to_fit();
        self
    }

    /// The number of ranges.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The owner of the byte `at`, and the first byte after `at` that may have another one.
    pub fn at(&self, at: u64) -> (Owner, u64) {
        let next = self.ranges.partition_point(|&(start, ..)| start <= at);
        let after = self.ranges.get(next).map_or(u64::MAX, |&(start, ..)| start);
        let found = next.checked_sub(1).and_then(|last| self.ranges.get(last));
        match found {
            Some(&(_, end, owner)) if at < end => (owner, end.min(after)),
            _ => (Owner::Free, after),
        }
    }

    /// The first byte of the range that contains `at`.
    pub fn start(&self, at: u64) -> u64 {
        let next = self.ranges.partition_point(|&(start, ..)| start <= at);
        let found = next.checked_sub(1).and_then(|last| self.ranges.get(last));
        found.map_or(0, |&(start, ..)| start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_an_owner() {
        let mut owners = Owners::default();
        owners.add(10..20, Owner::Journal);
        owners.add(20..25, Owner::Journal);
        owners.add(30..30, Owner::Reserved);
        owners.add(0..5, Owner::BootSector);
        let owners = owners.finish();
        assert_eq!(owners.len(), 2);
        assert_eq!(owners.at(0), (Owner::BootSector, 5));
        assert_eq!(owners.at(5), (Owner::Free, 10));
        assert_eq!(owners.at(24), (Owner::Journal, 25));
        assert_eq!(owners.at(25), (Owner::Free, u64::MAX));
        assert_eq!(owners.start(22), 10);
    }
}
