//! Regular files, sent without their holes.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::slice;

use crate::fs::BLOCK;
use crate::guest::report::{MOST_RANGES, Record, Sparse, Writer};
use crate::holes;

/// Sends the file `here`, of which `stat` and `record` tell, the record in it without its holes.
///
/// # Errors
/// Those of reading and writing.
pub fn send<W: Write>(
    writer: &mut Writer<W>,
    record: Record,
    here: &Path,
    stat: &Metadata,
) -> io::Result<()> {
    let file = File::open(here)?;
    let size = stat.len();
    // One that takes as much room as it is long has none, and what was reserved for it stays so: a
    // swap file must have all its blocks.
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
        data: fewer(&data, MOST_RANGES),
    };
    let length = sparse.ranges().map(|range| range.length).sum();
    let parts = Parts {
        file,
        ahead: sparse.data.clone().into(),
    };
    let sparse = Some(sparse);
    writer.file(&Record { sparse, ..record }, length, parts)
}

/// No more than `most`: where there are more, the smallest holes are data, too.
fn fewer(data: &[Range<u64>], most: usize) -> Vec<(u64, u64)> {
    let holes = data.windows(2).enumerate();
    let mut holes: Vec<(u64, usize)> = holes
        .map(|(at, pair)| (pair[1].start.saturating_sub(pair[0].end), at + 1))
        .collect();
    holes.sort_unstable_by(|a, b| b.cmp(a));
    holes.truncate(most.saturating_sub(1));
    // Where a range begins that has one of the largest holes in front of it.
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
    /// First byte and length of what is still to come.
    ahead: VecDeque<(u64, u64)>,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((offset, length)) = self.ahead.front_mut() else {
            return Ok(0);
        };
        let most = usize::try_from(*length).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], *offset)?;
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
    fn what_is_sent_are_the_bytes_between_holes() {
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
    fn a_record_holds_what_a_file_of_many_holes_has() {
        let data = [0, 10, 20, 40, 50].map(|n| n..n + 3);
        assert_eq!(
            fewer(&data, 5),
            [(0, 3), (10, 3), (20, 3), (40, 3), (50, 3)]
        );
        assert_eq!(fewer(&data, 6), fewer(&data, 5));
        assert_eq!(fewer(&data, 2), [(0, 23), (40, 13)]);
        assert_eq!(fewer(&data, 1), [(0, 53)]);
        assert_eq!(fewer(&[], 1), []);
    }
}
