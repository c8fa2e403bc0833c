//! Which blocks of a disk have been written.

/// The size of a block in bytes. It is that of a page and of ext4's blocks, so most writes cover whole
/// blocks.
pub const BLOCK: u64 = BLOCK_BYTES as u64;

/// [`BLOCK`], as the length of a buffer.
pub const BLOCK_BYTES: usize = 4096;

/// A set of blocks. Memory is used only for the parts of the disk that were written to: pages of zeros
/// are not allocated until they change.
pub struct Written {
    words: Vec<u64>,
}

impl Written {
    /// Returns an empty set for a disk of `length` bytes.
    pub fn new(length: u64) -> Written {
        let words = length.div_ceil(BLOCK).div_ceil(u64::BITS.into());
        Written {
            // A disk that is too long for the address space has no blocks that can be written.
            words: vec![0; usize::try_from(words).unwrap_or(0)],
        }
    }

    /// Returns whether `block` is in the set.
    pub fn contains(&self, block: u64) -> bool {
        let (word, bit) = place(block);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Adds `block`.
    pub fn insert(&mut self, block: u64) {
        let (word, bit) = place(block);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }
}

/// Returns the index of the word of `block`, and its bit.
fn place(block: u64) -> (usize, u64) {
    let bits = u64::from(u64::BITS);
    let word = usize::try_from(block / bits).unwrap_or(usize::MAX);
    (word, 1 << (block % bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_what_was_inserted() {
        let mut written = Written::new(200 * BLOCK + 1);
        for block in [0, 63, 64, 200] {
            assert!(!written.contains(block));
            written.insert(block);
        }
        let found: Vec<u64> = (0..300).filter(|&block| written.contains(block)).collect();
        assert_eq!(found, [0, 63, 64, 200]);
        // Beyond the end.
        written.insert(u64::MAX);
        assert!(!written.contains(u64::MAX));
    }
}
