//! Finds blocks of a file that two parts of the disk share.

use anyhow::{Result, bail};

/// The most blocks whose use is recorded: 16 MiB of memory. Files with more are not checked.
const MOST: u64 = 128 << 20;

/// The most table entries that are checked when a file is opened: enough for 1 TiB in clusters of
/// 64 KiB, and less than a second. Reading checks each entry again, except for overlaps.
pub const MOST_ENTRIES: u64 = 16 << 20;

/// Which blocks of a file are in use.
pub struct Claims {
    /// A bit for each block.
    bits: Vec<u64>,
    /// The length of a block in bytes.
    block: u64,
    /// The offset in the file at which the first block begins.
    first: u64,
}

impl Claims {
    /// For a file of `length` bytes, whose blocks of `block` bytes, not 0, begin at `first`.
    pub fn new(length: u64, block: u64, first: u64) -> Claims {
        let blocks = length.saturating_sub(first).div_ceil(block);
        let words = if blocks > MOST {
            0
        } else {
            blocks.div_ceil(64)
        };
        Claims {
            bits: vec![0; usize::try_from(words).unwrap_or(0)],
            block,
            first,
        }
    }

    /// Marks the `length` bytes at `offset` as being used for `what`.
    ///
    /// # Errors
    /// If a part of them is in use already.
    pub fn claim(&mut self, offset: u64, length: u64, what: &dyn Fn() -> String) -> Result<()> {
        let start = offset.saturating_sub(self.first);
        let end = start.saturating_add(length).div_ceil(self.block);
        for number in start / self.block..end {
            let word = usize::try_from(number / 64).unwrap_or(usize::MAX);
            let Some(word) = self.bits.get_mut(word) else {
                break;
            };
            let bit = 1 << (number % 64);
            if *word & bit != 0 {
                bail!(
                    "{} is at byte {offset} of the file, which is also in use for something else: \
                     the file is damaged",
                    what()
                );
            }
            *word |= bit;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_found() {
        let what = || "it".to_owned();
        let mut claims = Claims::new(100 << 10, 1 << 10, 512);
        claims.claim(512, 4 << 10, &what).unwrap();
        claims.claim(512 + (4 << 10), 1, &what).unwrap();
        claims.claim(512 + (4 << 10), 1, &what).unwrap_err();
        claims.claim(512 + (3 << 10), 2 << 10, &what).unwrap_err();
        // Beyond the file.
        claims.claim(u64::MAX, u64::MAX, &what).unwrap();
    }
}
