//! The hash that orders an indexed directory: the reduced MD4 that ext4 calls `half_md4`, of names
//! with signed bytes, as on x86 (kernel, Documentation/filesystems/ext4/directory.rst).

/// The hash of a name: the part that an index stores, and a part that orders names for which that
/// is equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash {
    /// The part that an index stores; its lowest bit is 0.
    pub major: u32,
    /// The part that orders names with equal `major`.
    pub minor: u32,
}

/// The number of this hash: `DX_HASH_HALF_MD4`.
pub const HALF_MD4: u8 = 1;

/// The seed of a file system's directory hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 16]);

/// The hash that marks the end of a directory, and the one that is used for names instead.
const END: u32 = 0xffff_fffe;
const BEFORE_END: u32 = 0xffff_fffc;

impl Seed {
    /// Returns the hash of `name`.
    pub fn hash(self, name: &[u8]) -> Hash {
        let mut state = self.words();
        for (index, chunk) in name.chunks(32).enumerate() {
            mix(&mut state, &words(chunk, name.len() - 32 * index));
        }
        let major = state[1] & !1;
        Hash {
            major: if major == END { BEFORE_END } else { major },
            minor: state[2],
        }
    }

    fn words(self) -> [u32; 4] {
        if self.0 == [0; 16] {
            // Without a seed, MD4's own initial state.
            return [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        }
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(self.0.chunks_exact(4)) {
            *word = bytes
                .iter()
                .rev()
                .fold(0, |word, &byte| word << 8 | u32::from(byte));
        }
        words
    }
}

/// Returns up to 32 bytes of a name as eight words, padded with the number of remaining bytes.
fn words(chunk: &[u8], left: usize) -> [u32; 8] {
    let [low, ..] = left.to_le_bytes();
    let padding = u32::from_le_bytes([low; 4]);
    let mut words = [padding; 8];
    for (word, bytes) in words.iter_mut().zip(chunk.chunks(4)) {
        for &byte in bytes {
            let signed = i32::from(i8::from_le_bytes([byte]));
            *word = (*word << 8).wrapping_add_signed(signed);
        }
    }
    words
}

/// MD4's three rounds with eight words instead of sixteen.
fn mix(state: &mut [u32; 4], input: &[u32; 8]) {
    const ROUNDS: [(u32, [usize; 8], [u32; 4]); 3] = [
        (0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (0x5a82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (round, (constant, order, shifts)) in ROUNDS.iter().enumerate() {
        for (step, &word) in order.iter().enumerate() {
            let mixed = match round {
                0 => d ^ (b & (c ^ d)),
                1 => (b & c).wrapping_add((b ^ c) & d),
                _ => b ^ c ^ d,
            };
            let sum = a
                .wrapping_add(mixed)
                .wrapping_add(input[word])
                .wrapping_add(*constant)
                .rotate_left(shifts[step % 4]);
            (a, b, c, d) = (d, sum, b, c);
        }
    }
    for (word, mixed) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(mixed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_the_hashes_of_debugfs() {
        // From `debugfs -R "dx_hash -h half_md4 -s 17c1ed75-4a11-41f0-8960-e3b6440c5961 NAME"`,
        // e2fsprogs 1.47.0 on x86-64.
        let seed = uuid::uuid!("17c1ed75-4a11-41f0-8960-e3b6440c5961");
        let seed = Seed(seed.into_bytes());
        for (name, major, minor) in [
            (&b"a"[..], 0x9744_b9f0, 0xa4c2_58bb),
            (b"lost+found", 0x14f0_7c5a, 0x7176_4447),
            (
                b"12345678901234567890123456789012",
                0xded2_aa8c,
                0xa3cd_9fe2,
            ),
            (
                b"123456789012345678901234567890123",
                0xc76f_0e06,
                0xd801_5f67,
            ),
            (&[b'n'; 255], 0x0f40_8ce2, 0x5ba8_d8ca),
            (b"\xc3\xa9\xff", 0xcf41_1698, 0x147b_945b),
        ] {
            assert_eq!(seed.hash(name), Hash { major, minor }, "{name:?}");
        }
        // The same without a seed.
        let hash = Hash {
            major: 0xd196_a868,
            minor: 0xc420_eb28,
        };
        assert_eq!(Seed([0; 16]).hash(b"abc"), hash);
    }
}
