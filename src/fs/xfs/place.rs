//! Where an allocation group is, for the headers of its blocks.

use zerocopy::big_endian::U64;

use super::ondisk::SECTORS;

/// An allocation group of a file system.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its number.
    pub group: u64,
    /// Its first block, counted from the beginning of the file system.
    pub first: u64,
    /// The UUID of the file system.
    pub uuid: &'a [u8; 16],
}

impl Place<'_> {
    /// Returns the address in sectors of the block `number` of the group.
    pub fn sector(self, number: u64) -> U64 {
        sector(self.first + number)
    }
}

/// Returns the address in sectors of `block`, which is counted from the beginning of the file system.
pub fn sector(block: u64) -> U64 {
    U64::new(block * SECTORS)
}
