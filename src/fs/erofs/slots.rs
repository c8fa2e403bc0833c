//! Places for inodes: in the order in which they come, except that gaps at ends of blocks are
//! filled.

use super::ondisk::{BLOCK_SIZE, SLOT_SIZE};

const SLOTS_PER_BLOCK: u64 = BLOCK_SIZE / SLOT_SIZE;

/// The space for inodes. Everything is in slots.
pub struct Slots {
    end: u64,
    /// Gaps by their length. All are shorter than a block.
    gaps: Vec<Vec<u64>>,
    /// Bit `n` is set if there are gaps of `n` slots.
    lengths: u128,
}

impl Slots {
    /// Space that begins at the byte `start`.
    pub fn new(start: u64) -> Slots {
        Slots {
            end: start.div_ceil(SLOT_SIZE),
            gaps: vec![Vec::new(); 128],
            lengths: 0,
        }
    }

    /// Finds a place for `length` bytes. If `together` is set, it is in a single block, or at the
    /// start of one if the length is more than a block.
    pub fn place(&mut self, length: u64, together: bool) -> u64 {
        let slots = length.div_ceil(SLOT_SIZE);
        if let Some(place) = self.fill_gap(slots) {
            return place;
        }
        let rest = self.end.next_multiple_of(SLOTS_PER_BLOCK) - self.end;
        if together && slots > rest {
            self.add_gap(self.end, rest);
            self.end += rest;
        }
        let place = self.end;
        self.end += slots;
        place
    }

    /// Returns the end of all places in bytes.
    pub fn end(&self) -> u64 {
        self.end * SLOT_SIZE
    }

    fn fill_gap(&mut self, slots: u64) -> Option<u64> {
        let shift = u32::try_from(slots).ok()?;
        let fitting = self.lengths.checked_shr(shift)?;
        let length = slots + u64::from(fitting.trailing_zeros());
        if fitting == 0 {
            return None;
        }
        let gaps = self.gaps.get_mut(usize::try_from(length).ok()?)?;
        let place = gaps.pop()?;
        if gaps.is_empty() {
            self.lengths &= !(1 << length);
        }
        self.add_gap(place + slots, length - slots);
        Some(place)
    }

    fn add_gap(&mut self, place: u64, length: u64) {
        let gaps = usize::try_from(length)
            .ok()
            .and_then(|length| self.gaps.get_mut(length));
        if length > 0
            && let Some(gaps) = gaps
        {
            gaps.push(place);
            self.lengths |= 1 << length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_together_is_in_one_block_and_gaps_are_filled() {
        let mut slots = Slots::new(1152);
        assert_eq!(slots.place(32, true), 36);
        assert_eq!(slots.place(91 * 32 + 1, true), 128);
        // Longer than the gap of 91 slots.
        assert_eq!(slots.place(36 * 32, true), 37);
        assert_eq!(slots.place(4096, true), 256);
        assert_eq!(slots.place(8192, false), 384);
        assert_eq!(slots.place(33, true), 220);
        assert_eq!(slots.place(37 * 32, true), 73);
        assert_eq!(slots.end(), 640 * 32);
        assert_eq!(slots.place(32, false), 110);
        assert_eq!(slots.place(128 * 32, true), 640);
        assert_eq!(slots.place(129 * 32, false), 768);
        assert_eq!(slots.place(129 * 32, true), 1024);
        let mut places = vec![0; 1000];
        for number in 0..2000u64 {
            let length = 1 + number * 7919 % 4096;
            let place = slots.place(length, true);
            let end = place + length.div_ceil(32);
            assert_eq!(place / 128, (end - 1) / 128);
            for slot in place..end {
                let slot = usize::try_from(slot).unwrap();
                places.resize(places.len().max(slot + 1), 0);
                places[slot] += 1;
            }
        }
        assert!(places.iter().all(|&count| count <= 1));
    }
}
