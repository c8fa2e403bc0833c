//! Files with long holes, as in the pax format 1.0 of GNU tar (GNU tar manual, "PAX Format, Version
//! 1.0").

use std::ops::Range;

use crate::tree::Content;

/// Parts of files begin and end at multiples of this many bytes, except at the end of a file.
const UNIT: u64 = 4096;
/// Shorter holes are sent as zeros.
const LONG: u64 = 1 << 20;

/// Returns the parts of a file to send, or `None` if it has no long hole.
///
/// `sqfstar` 4.6.1 reads what is after the map if a file ends in a hole, and does not skip the
/// padding after a single part. So the first part is empty, and the end of a file is always sent.
pub fn parts(content: &Content) -> Option<Vec<Range<u64>>> {
    content.data.as_ref()?;
    let size = content.size;
    let mut parts: Vec<Range<u64>> = std::iter::once(0..0).collect();
    let mut sent = 0;
    let tail = size.saturating_sub(1) / UNIT * UNIT..size;
    let ranges = content
        .data_ranges()
        .map(|range| range.offset..range.offset.saturating_add(range.length))
        .chain([tail]);
    for range in ranges {
        let start = range.start / UNIT * UNIT;
        let end = range.end.next_multiple_of(UNIT).min(size);
        match parts.last_mut() {
            Some(last) if start < last.end || (start == last.end && last.end > 0) => {
                sent += end.saturating_sub(last.end);
                last.end = last.end.max(end);
            }
            _ => {
                sent += end - start;
                parts.push(start..end);
            }
        }
    }
    (size - sent >= LONG).then_some(parts)
}

/// Returns the map of the file with these parts, which comes before its contents, padded to whole
/// records of tar.
pub fn map(parts: &[Range<u64>], size: u64) -> Vec<u8> {
    let mut map = format!("{}\n", parts.len() + 1);
    for part in parts.iter().chain([&(size..size)]) {
        map.push_str(&format!("{}\n{}\n", part.start, part.end - part.start));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(512), 0);
    map
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are meant")]
mod tests {
    use super::*;
    use crate::tree::DataRange;

    fn content(size: u64, ranges: &[(u64, u64)]) -> Content {
        let mut content = Content::bytes(Vec::new());
        content.size = size;
        let ranges = ranges
            .iter()
            .map(|&(offset, length)| DataRange { offset, length });
        content.data = Some(Box::new(ranges.collect()));
        content
    }

    #[test]
    fn only_long_holes_are_left_out() {
        assert_eq!(parts(&Content::bytes(vec![0; 5_000_000])), None);
        assert_eq!(parts(&content(1 << 20, &[])), None);
        assert_eq!(parts(&content(0, &[])), None);
        let empty = content((1 << 20) + 4096, &[]);
        assert_eq!(parts(&empty), Some(vec![0..0, 1 << 20..(1 << 20) + 4096]));
        let some = content(3_000_001, &[(0, 1), (5000, 10), (8200, 1), (2_999_999, 2)]);
        assert_eq!(
            parts(&some),
            Some(vec![0..0, 0..12_288, 2_998_272..3_000_001])
        );
    }

    #[test]
    fn a_map_has_an_end_and_is_padded() {
        let map = map(&[0..0, 4096..8192], 10_000);
        let text = b"3\n0\n0\n4096\n4096\n10000\n0\n";
        assert_eq!(map.len(), 512);
        assert!(map.starts_with(text) && map[text.len()..].iter().all(|&byte| byte == 0));
    }
}
