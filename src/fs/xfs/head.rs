//! The fields of block headers that depend on where a block is.

use super::ondisk::{AttrRemoteHeader, BlkInfo, Block, DataHeader, FreeHeader, put, seal};
use super::place::sector;

/// A kind of block header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Data and free space of a directory.
    Directory,
    /// A leaf or node of a tree of hashes.
    Tree,
    /// A part of the value of an attribute, or a link target.
    Remote,
}

const _: () = assert!(FreeHeader::CHECKSUM == DataHeader::CHECKSUM);

impl Head {
    /// Enters the address, which is `place` in blocks of the file system, and the checksum.
    pub fn finish(self, block: &mut Block, place: u64) {
        let checksum = match self {
            Head::Directory => DataHeader::CHECKSUM,
            Head::Tree => BlkInfo::CHECKSUM,
            Head::Remote => AttrRemoteHeader::CHECKSUM,
        };
        let address = match self {
            Head::Directory => std::mem::offset_of!(DataHeader, blkno),
            Head::Tree => std::mem::offset_of!(BlkInfo, blkno),
            Head::Remote => std::mem::offset_of!(AttrRemoteHeader, blkno),
        };
        put(block, address, &sector(place));
        seal(block, checksum);
    }
}

/// Receives blocks in order, without the fields that depend on their places.
pub type Emit<'a> = dyn FnMut(Block, Head) -> anyhow::Result<()> + 'a;
