//! Reverse mappings: the owner of every block in an allocation group (kernel, fs/xfs/libxfs/xfs_rmap.c).

use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::btree::Tree;
use super::ondisk::RmapRecord;
use crate::fs::number::{TooWide, le32};

/// Reverse mappings in the order of their blocks. Keys are ranges, because blocks can be shared.
pub const TREE: Tree = Tree {
    magic: 0x524d_4233,
    record: size_of::<RmapRecord>(),
    key: 40,
    make_key,
};

fn make_key(first: &[u8], last: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(&first[..4]);
    key.extend_from_slice(&first[8..]);
    let number = |at: usize| match last.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    };
    let long = |at: usize| u64::from(number(at)) << 32 | u64::from(number(at + 4));
    let more = number(4).saturating_sub(1);
    let (owner, mut offset) = (long(8), long(16));
    if !has_no_offset(owner, offset) {
        offset += u64::from(more);
    }
    key.extend_from_slice(&(number(0).saturating_add(more)).to_be_bytes());
    key.extend_from_slice(&owner.to_be_bytes());
    key.extend_from_slice(&offset.to_be_bytes());
}

/// Whether blocks of this owner are not in the order of a file.
fn has_no_offset(owner: u64, offset: u64) -> bool {
    owner >> 63 == 1 || offset & RmapRecord::BMBT_BLOCK != 0
}

/// A range of blocks and its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// First block, counted from the beginning of the group.
    pub start: u64,
    /// Number of blocks.
    pub length: u64,
    /// An inode's number, or one of `RmapRecord::OWN_*`.
    pub owner: u64,
    /// The block in the inode, and flags.
    pub offset: u64,
}

impl Mapping {
    /// Blocks of the group itself.
    pub fn own(start: u64, length: u64, owner: u64) -> Mapping {
        Mapping {
            start,
            length,
            owner,
            offset: 0,
        }
    }

    /// Whether `next` is described by the same record.
    fn continues(&self, next: &Mapping) -> bool {
        const FLAGS: u64 = RmapRecord::ATTR_FORK | RmapRecord::BMBT_BLOCK;
        self.owner == next.owner
            && self.start + self.length == next.start
            && self.offset & FLAGS == next.offset & FLAGS
            && (has_no_offset(self.owner, self.offset) || self.offset + self.length == next.offset)
    }

    fn encode(&self) -> Result<RmapRecord, TooWide> {
        let mut record = RmapRecord::new_zeroed();
        record.rm_startblock = U32::new(le32(self.start)?.get());
        record.rm_blockcount = U32::new(le32(self.length)?.get());
        record.rm_owner = U64::new(self.owner);
        record.rm_offset = U64::new(self.offset);
        Ok(record)
    }
}

/// Merges adjacent mappings that one record describes. They must be in order.
#[derive(Default)]
pub struct Merged {
    last: Option<Mapping>,
    /// Number of records so far.
    pub count: u64,
    /// The records, except the last.
    bytes: Option<Vec<u8>>,
}

impl Merged {
    /// Keeps the records, for [`Merged::finish`].
    pub fn keeping() -> Merged {
        Merged {
            bytes: Some(Vec::new()),
            ..Merged::default()
        }
    }

    /// Adds a mapping.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn add(&mut self, mapping: Mapping) -> Result<(), TooWide> {
        if mapping.length == 0 {
            return Ok(());
        }
        if let Some(last) = &mut self.last
            && last.continues(&mapping)
        {
            last.length += mapping.length;
            return Ok(());
        }
        self.flush()?;
        self.count += 1;
        self.last = Some(mapping);
        Ok(())
    }

    /// Returns all records.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn finish(mut self) -> Result<Vec<u8>, TooWide> {
        self.flush()?;
        Ok(self.bytes.unwrap_or_default())
    }

    fn flush(&mut self) -> Result<(), TooWide> {
        if let Some(last) = self.last.take()
            && let Some(bytes) = &mut self.bytes
        {
            bytes.extend_from_slice(last.encode()?.as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(start: u64, length: u64, offset: u64) -> Mapping {
        Mapping {
            start,
            length,
            owner: 131,
            offset,
        }
    }

    #[test]
    fn adjacent_mappings_of_one_owner_merge() {
        let mut merged = Merged::keeping();
        let attributes = RmapRecord::ATTR_FORK;
        let tree = RmapRecord::BMBT_BLOCK;
        for mapping in [
            Mapping::own(0, 1, RmapRecord::OWN_FS),
            Mapping::own(1, 2, RmapRecord::OWN_AG),
            Mapping::own(3, 4, RmapRecord::OWN_AG),
            file(7, 2, 0),
            file(9, 2, 2),
            file(11, 1, 5),
            file(12, 1, 6 | attributes),
            file(13, 1, tree),
            file(14, 1, tree),
            file(15, 0, 0),
            file(16, 1, tree),
        ] {
            merged.add(mapping).unwrap();
        }
        assert_eq!(merged.count, 7);
        let bytes = merged.finish().unwrap();
        assert_eq!(bytes.len(), 7 * 24);
        let lengths: Vec<u8> = bytes.chunks(24).map(|record| record[7]).collect();
        assert_eq!(lengths, [1, 6, 4, 1, 1, 2, 1]);
    }

    #[test]
    fn high_keys_are_those_of_the_last_block() {
        let first = Mapping::own(5, 3, RmapRecord::OWN_AG).encode().unwrap();
        let last = file(8, 10, 100).encode().unwrap();
        let mut key = Vec::new();
        make_key(first.as_bytes(), last.as_bytes(), &mut key);
        let mut expected = 5u32.to_be_bytes().to_vec();
        expected.extend(RmapRecord::OWN_AG.to_be_bytes());
        expected.extend(0u64.to_be_bytes());
        expected.extend(17u32.to_be_bytes());
        expected.extend(131u64.to_be_bytes());
        expected.extend(109u64.to_be_bytes());
        assert_eq!(key, expected);
    }
}
