//! What is in a partition: recognizes file systems by their superblocks, and reads ext2, ext3, ext4 and
//! FAT.
//!
//! One reader serves listings and comparisons. So it knows where every byte of a file and of the
//! metadata is, which readers for use do not say.

mod contents;
mod explain;
mod ext;
mod fat;
mod field;
mod foreign;
mod node;
mod region;
mod runs;

pub(crate) use contents::Contents;
pub(crate) use explain::{Meaning, Weight};
pub(crate) use node::{FileSystem, Kind, Meta, Node, seconds};
pub(crate) use region::Region;
pub(crate) use runs::{Owner, Owners, Run};

use anyhow::Result;

use crate::container::Facts;

/// A recognized file system or other contents of a partition.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    /// Its type, as `blkid` calls it.
    pub kind: &'static str,
    /// The label, not escaped; empty if there is none.
    pub label: String,
    /// The UUID, as `blkid` prints it; empty if there is none.
    pub uuid: String,
    /// Its length in bytes, if it says it.
    pub size: Option<u64>,
    /// Bytes in use, if it says it.
    pub used: Option<u64>,
    /// Bytes that are free, if it says it.
    pub free: Option<u64>,
    /// Its parameters.
    pub facts: Facts,
    /// What is wrong with it.
    pub problem: Option<String>,
}

impl Volume {
    /// A volume of which only the type is known.
    fn new(kind: &'static str) -> Volume {
        Volume {
            kind,
            label: String::new(),
            uuid: String::new(),
            size: None,
            used: None,
            free: None,
            facts: Facts::default(),
            problem: None,
        }
    }
}

/// Recognizes the contents of a partition.
///
/// # Errors
/// If the disk cannot be read. A damaged file system is no error, but a [`Volume::problem`].
pub(crate) fn probe(region: &Region<'_>) -> Result<Option<Volume>> {
    if let Some(volume) = ext::probe(region)? {
        return Ok(Some(volume));
    }
    if let Some(volume) = foreign::probe(region)? {
        return Ok(Some(volume));
    }
    fat::probe(region)
}

/// Opens the file system in a partition for reading files; `None` if its type is not supported.
///
/// # Errors
/// If it is damaged, or needs something that is not supported.
pub(crate) fn open<'a>(region: &Region<'a>) -> Result<Option<Box<dyn FileSystem + 'a>>> {
    // In the order of `probe`, but without counting what is free.
    if let Some(ext) = ext::open(region)? {
        return Ok(Some(Box::new(ext)));
    }
    if foreign::probe(region)?.is_some() {
        return Ok(None);
    }
    let fat = fat::open(region)?;
    Ok(fat.map(|fat| -> Box<dyn FileSystem + 'a> { Box::new(fat) }))
}
