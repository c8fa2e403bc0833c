//! A raw image, and a fixed VHD, which is one with a footer.

use anyhow::Result;

use super::file::ImageFile;
use super::{Extent, Facts, Map, Opened, Place};

/// Every byte of the disk is at its own offset in the file.
pub struct Raw;

/// Opens `file` as a raw image.
pub fn open(file: &ImageFile) -> Opened {
    let mut facts = Facts::default();
    facts.add("format", "raw");
    Opened {
        map: Box::new(Raw),
        length: file.length,
        sector: None,
        facts,
    }
}

/// Data is mapped in pieces of this many bytes, so that holes after it are found.
const PIECE: u64 = 1 << 20;

impl Map for Raw {
    fn extent(&self, file: &ImageFile, at: u64) -> Result<Extent> {
        // Asked again for each piece, since the file system knows where data ends only by seeking.
        let data = file.next_data(at)?;
        Ok(match data.checked_sub(at) {
            Some(hole) if hole > 0 => Extent {
                length: hole,
                place: Place::Zeros,
            },
            _ => Extent {
                length: PIECE.saturating_sub(at % PIECE),
                place: Place::Stored(at),
            },
        })
    }
}
