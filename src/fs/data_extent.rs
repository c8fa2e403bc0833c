//! Parts of a file system that are copied from files.

/// A part of a file and its place in the file system. Lengths and offsets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataExtent {
    /// The number of the file. The plan defines its meaning: see [`super::Plan::source`].
    pub file: u32,
    /// Where the part begins in the file.
    pub file_offset: u64,
    /// Where the part begins in the file system; a multiple of the block size.
    pub offset: u64,
    /// The length of the part. The rest of its last block is zero.
    pub length: u64,
}
