//! Where bytes of a file system are in files.

/// A part of a file's bytes and where it goes. Lengths and offsets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataExtent {
    /// The file. What a number means is the plan's business: [`super::Plan::source`].
    pub file: u32,
    /// Where the part begins in the file.
    pub file_offset: u64,
    /// Where it begins in the file system; a multiple of the block size.
    pub offset: u64,
    /// How long it is; what is left of its last block is zeros.
    pub length: u64,
}
