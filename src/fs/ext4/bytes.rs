//! Little-endian fields in byte buffers.

/// Writes the lowest `width` bytes of `value` at `at`; a field in two halves is written with two
/// calls, the second with the value shifted.
pub fn put(buffer: &mut [u8], at: usize, width: usize, value: u64) {
    buffer[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// `value` as an index. On machines whose pointers are too short for it the result is out of all
/// bounds.
pub fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// The lowest 32 bits.
pub fn low32(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_field_takes_the_lowest_bytes() {
        let mut buffer = [0; 6];
        super::put(&mut buffer, 1, 4, 0x1_2345_6789);
        assert_eq!(buffer, [0, 0x89, 0x67, 0x45, 0x23, 0]);
        assert_eq!(super::low32(0x1_2345_6789), 0x2345_6789);
    }
}
