//! Bitmaps of one block, lowest bit first (kernel, Documentation/filesystems/ext4/bitmaps.rst).

use std::ops::Range;

use zerocopy::FromZeros;

use super::ondisk::Block;
use crate::fs::number::index;

/// Returns a bitmap in which no bit is set.
pub fn empty() -> Block {
    Block::new_zeroed()
}

/// Sets the bits in `range`.
pub fn set(bitmap: &mut [u8], range: Range<u64>) {
    let (mut at, end) = (index(range.start), index(range.end));
    while at < end && !at.is_multiple_of(8) {
        bitmap[at / 8] |= 1 << (at % 8);
        at += 1;
    }
    let whole = at.max(end - end % 8);
    bitmap[at / 8..whole / 8].fill(0xff);
    for at in whole..end {
        bitmap[at / 8] |= 1 << (at % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_exactly_the_bits_of_the_range() {
        for (start, end) in [
            (0, 0),
            (0, 8),
            (3, 5),
            (3, 8),
            (3, 9),
            (5, 64),
            (8, 17),
            (9, 33),
        ] {
            let mut bitmap = vec![0; 16];
            set(&mut bitmap, start..end);
            for bit in 0..128 {
                let is_set = bitmap[index(bit) / 8] >> (bit % 8) & 1 == 1;
                assert_eq!(is_set, (start..end).contains(&bit), "{start}..{end}: {bit}");
            }
        }
    }
}
