//! Sends regular files without their holes.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::slice;

use crate::fs::BLOCK;
use crate::guest::report::{MAX_RANGES, Record, Sparse, Writer};
use crate::holes;

/// Sends the regular file at `here`, without its holes. `stat` and `record` describe it; where its data
/// is, is added to the record.
///
/// # Errors
/// If the file cannot be read or the report cannot be written.
pub fn send<W: Write>(
    writer: &mut Writer<W>,
    record: Record,
    here: &Path,
    stat: &Metadata,
) -> io::Result<()> {
    let file = File::open(here)?;
    let size = stat.len();
    // A file with as many blocks as its size needs is sent in full, even if some are only preallocated:
    // a swap file must keep all its blocks.
    let data = match holes::possible(size, stat.blocks()) {
        true => Some(holes::data_ranges(&file, size, BLOCK)?),
        false => None,
    };
    let whole = 0..size;
    let Some(data) = data.filter(|data| data != slice::from_ref(&whole)) else {
        return writer.file(&record, size, file);
    };
    let sparse = Sparse {
        size,
        data: merge_ranges(&data, MAX_RANGES),
    };
    let length = sparse.ranges().map(|range| range.length).sum();
    let parts = Parts {
        file,
        ahead: sparse.data.clone().into(),
    };
    let sparse = Some(sparse);
    writer.file(&Record { sparse, ..record }, length, parts)
}

/// Returns `data` as at most `limit` ranges, each with offset and length. If there are more ranges, the
/// smallest holes become data.
fn merge_ranges(data: &[Range<u64>], limit: usize) -> Vec<(u64, u64)> {
    let holes = data.windows(2).enumerate();
    let mut holes: Vec<(u64, usize)> = holes
        .map(|(at, pair)| (pair[1].start.saturating_sub(pair[0].end), at + 1))
        .collect();
    holes.sort_unstable_by(|a, b| b.cmp(a));
    holes.truncate(limit.saturating_sub(1));
    // Indices of the ranges that follow one of the largest holes.
    let mut cuts: Vec<usize> = holes.into_iter().map(|(_, at)| at).collect();
    cuts.sort_unstable();
    let begins = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([data.len()]);
    begins
        .zip(ends)
        .filter_map(|(from, to)| {
            let (first, last) = (data.get(from)?, data.get(to.checked_sub(1)?)?);
            Some((first.start, last.end.saturating_sub(first.start)))
        })
        .collect()
}

/// The bytes of parts of a file, one after the other.
struct Parts {
    file: File,
    /// First byte and length of each part that is left to read.
    ahead: VecDeque<(u64, u64)>,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((offset, length)) = self.ahead.front_mut() else {
            return Ok(0);
        };
        let limit = usize::try_from(*length).unwrap_or(usize::MAX);
        let limit = limit.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..limit], *offset)?;
        // usize to u64: lossless on every target Rust has.
        *offset = offset.saturating_add(read as u64);
        *length = length.saturating_sub(read as u64);
        if *length == 0 {
            self.ahead.pop_front();
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_only_the_bytes_between_holes() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"abcdefgh", 0).unwrap();
        let mut parts = Parts {
            file,
            ahead: [(1, 2), (5, 1), (7, 1)].into(),
        };
        let mut text = String::new();
        parts.read_to_string(&mut text).unwrap();
        assert_eq!(text, "bcfh");
    }

    #[test]
    fn merges_ranges_across_the_smallest_holes() {
        let data = [0, 10, 20, 40, 50].map(|n| n..n + 3);
        assert_eq!(
            merge_ranges(&data, 5),
            [(0, 3), (10, 3), (20, 3), (40, 3), (50, 3)]
        );
        assert_eq!(merge_ranges(&data, 6), merge_ranges(&data, 5));
        assert_eq!(merge_ranges(&data, 2), [(0, 23), (40, 13)]);
        assert_eq!(merge_ranges(&data, 1), [(0, 53)]);
        assert_eq!(merge_ranges(&[], 1), []);
    }
}
