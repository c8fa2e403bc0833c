//! The hash of a name in a directory: TEA, which the kernel copied from ext3 (`fs/f2fs/hash.c`).

/// The increment of a round.
const DELTA: u32 = 0x9e37_79b9;

/// Returns the hash of `name`, which is neither `.` nor `..`.
pub fn hash(name: &[u8]) -> u32 {
    let mut state = [0x6745_2301, 0xefcd_ab89];
    let mut rest = name;
    loop {
        mix(&mut state, words(rest));
        // A name of exactly 16 bytes has no second part.
        match rest.get(16..) {
            Some(next) if !next.is_empty() => rest = next,
            _ => return state[0],
        }
    }
}

fn mix(state: &mut [u32; 2], [a, b, c, d]: [u32; 4]) {
    let [mut x, mut y] = *state;
    let mut sum = 0u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(DELTA);
        x = x.wrapping_add(round(y, sum, a, b));
        y = y.wrapping_add(round(x, sum, c, d));
    }
    state[0] = state[0].wrapping_add(x);
    state[1] = state[1].wrapping_add(y);
}

fn round(half: u32, sum: u32, key: u32, other: u32) -> u32 {
    (half << 4).wrapping_add(key) ^ half.wrapping_add(sum) ^ (half >> 5).wrapping_add(other)
}

/// Returns the first 16 bytes of `bytes` as words. Missing bytes are replaced by its length.
fn words(bytes: &[u8]) -> [u32; 4] {
    // A name has at most 255 bytes.
    let length = u32::try_from(bytes.len()).unwrap_or(0) & 0xff;
    let pad = length * 0x0101_0101;
    let mut words = [pad; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks(4)) {
        *word = bytes
            .iter()
            .fold(pad, |word, &byte| word << 8 | u32::from(byte));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_f2fs_tools() {
        // `lost+found` of an image of `mkfs.f2fs -O lost_found`.
        assert_eq!(hash(b"lost+found"), 0x2dbf_9e80);
    }
}
