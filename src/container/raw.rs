//! A raw image, and a fixed VHD, which is one with a footer.

use std::cell::Cell;

use anyhow::Result;

use super::file::ImageFile;
use super::{Extent, Facts, Map, Opened, Place};

/// Every byte of the disk is at its own offset in the file.
#[derive(Default)]
pub struct Raw {
    /// Where the last bytes were that are not in a hole, so that most reads need not look for holes.
    data: Cell<(u64, u64)>,
}

/// Opens `file` as a raw image.
pub fn open(file: &ImageFile) -> Opened {
    let mut facts = Facts::default();
    facts.add("format", "raw");
    Opened {
        map: Box::new(Raw::default()),
        length: file.length,
        sector: None,
        facts,
    }
}

impl Map for Raw {
    fn extent(&self, file: &ImageFile, at: u64) -> Result<Extent> {
        let (start, mut end) = self.data.get();
        if !(start..end).contains(&at) {
            let data = file.next_data(at)?;
            if data > at {
                return Ok(Extent {
                    length: data.saturating_sub(at),
                    place: Place::Zeros,
                });
            }
            end = file.next_hole(at)?.max(at.saturating_add(1));
            self.data.set((at, end));
        }
        Ok(Extent {
            length: end.saturating_sub(at),
            place: Place::Stored(at),
        })
    }
}
