//! Numbers in the widths of on-disk fields.

use std::fmt::Display;

use zerocopy::little_endian::{U16, U32};

/// A number that does not fit in its field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} does not fit in a field of {bits} bits")]
pub struct TooWide {
    value: String,
    bits: u32,
}

impl TooWide {
    #[cold]
    fn new(value: impl Display, bits: u32) -> TooWide {
        TooWide {
            value: value.to_string(),
            bits,
        }
    }
}

/// Converts `value` to a field of 8 bits.
///
/// # Errors
/// If `value` does not fit.
pub fn le8(value: impl TryInto<u8> + Copy + Display) -> Result<u8, TooWide> {
    value.try_into().map_err(|_| TooWide::new(value, 8))
}

/// Converts `value` to a field of 16 bits.
///
/// # Errors
/// If `value` does not fit.
pub fn le16(value: impl TryInto<u16> + Copy + Display) -> Result<U16, TooWide> {
    let value = value.try_into().map_err(|_| TooWide::new(value, 16))?;
    Ok(U16::new(value))
}

/// Converts `value` to a field of 32 bits.
///
/// # Errors
/// If `value` does not fit.
pub fn le32(value: impl TryInto<u32> + Copy + Display) -> Result<U32, TooWide> {
    let value = value.try_into().map_err(|_| TooWide::new(value, 32))?;
    Ok(U32::new(value))
}

/// Splits 32 bits into two fields of 16: `lo` and `hi`.
pub fn split32(value: u32) -> (U16, U16) {
    let [a, b, c, d] = value.to_le_bytes();
    (U16::from_bytes([a, b]), U16::from_bytes([c, d]))
}

/// Splits a number into a field of 32 bits and one of 16: `lo` and `hi`.
///
/// # Errors
/// If `value` has more than 48 bits.
pub fn split48(value: u64) -> Result<(U32, U16), TooWide> {
    let (lo, hi) = split64(value);
    match u16::try_from(hi.get()) {
        Ok(hi) => Ok((lo, U16::new(hi))),
        Err(_) => Err(TooWide::new(value, 48)),
    }
}

/// Splits 64 bits into two fields of 32: `lo` and `hi`.
pub fn split64(value: u64) -> (U32, U32) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    (U32::from_bytes([a, b, c, d]), U32::from_bytes([e, f, g, h]))
}

/// Returns `value` as an index. If it does not fit in a pointer of this machine, the result is out
/// of bounds for every slice.
pub fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_into_low_and_high_halves() {
        let (lo, hi) = split64(0x0123_4567_89ab_cdef);
        assert_eq!((lo.get(), hi.get()), (0x89ab_cdef, 0x0123_4567));
        let (lo, hi) = split48(0x4567_89ab_cdef).unwrap();
        assert_eq!((lo.get(), hi.get()), (0x89ab_cdef, 0x4567));
        let (lo, hi) = split32(0x4567_89ab);
        assert_eq!((lo.get(), hi.get()), (0x89ab, 0x4567));
    }

    #[test]
    fn rejects_values_wider_than_the_field() {
        assert_eq!(le8(255u64), Ok(255));
        assert_eq!(le16(0xffffu64), Ok(U16::new(0xffff)));
        assert_eq!(le32(u64::from(u32::MAX)), Ok(U32::new(u32::MAX)));
        for (found, message) in [
            (le8(256u64).err(), "256 does not fit in a field of 8 bits"),
            (
                le16(65_536u64).err(),
                "65536 does not fit in a field of 16 bits",
            ),
            (le32(-1).err(), "-1 does not fit in a field of 32 bits"),
            (
                split48(1 << 48).err(),
                "281474976710656 does not fit in a field of 48 bits",
            ),
        ] {
            assert_eq!(found.unwrap().to_string(), message);
        }
    }
}
