//! Holes of files of this machine (lseek(2), `SEEK_DATA`).

use std::fs::File;
use std::io;
use std::ops::Range;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// Whether a file of `size` bytes that takes `sectors` of 512 bytes (`st_blocks`, whatever the file
/// system's block is, stat(3type)) can have a hole at all. One that is stored compressed takes less
/// room than it is long, too, and has none.
pub(crate) fn possible(size: u64, sectors: u64) -> bool {
    sectors.saturating_mul(512) < size
}

/// The parts of the first `length` bytes of `file` that are not holes: in order, apart, and widened
/// to whole blocks of `block` bytes, but for the last one, which ends where the file does. A file
/// system that does not know its holes says that all is data.
///
/// # Errors
/// If seeking fails.
pub(crate) fn data_ranges(file: &File, length: u64, block: u64) -> io::Result<Vec<Range<u64>>> {
    let mut extents = Vec::new();
    let mut at = 0;
    while at < length {
        let Some(start) = seek(file, at, Whence::SeekData)? else {
            break;
        };
        let end = seek(file, start, Whence::SeekHole)?.unwrap_or(length);
        if end <= start {
            // Somebody cut the file meanwhile.
            break;
        }
        extents.push(start..end);
        at = end;
    }
    Ok(widen(extents, length, block))
}

/// `None` after the last of what is looked for.
fn seek(file: &File, offset: u64, whence: Whence) -> io::Result<Option<u64>> {
    let offset = i64::try_from(offset).map_err(io::Error::other)?;
    match lseek(file, offset, whence) {
        Ok(found) => u64::try_from(found).map(Some).map_err(io::Error::other),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Extents in order, as ranges of whole blocks within `length`.
fn widen(extents: Vec<Range<u64>>, length: u64, block: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for extent in extents {
        let start = extent.start / block * block;
        let end = extent.end.div_ceil(block).saturating_mul(block).min(length);
        match ranges.last_mut() {
            Some(last) if last.end >= start => last.end = end.max(last.end),
            _ if end > start => ranges.push(start..end),
            _ => {}
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    const BLOCK: u64 = 4096;

    fn found(file: &File, length: u64) -> Vec<(u64, u64)> {
        pairs(data_ranges(file, length, BLOCK).unwrap())
    }

    fn pairs(ranges: Vec<Range<u64>>) -> Vec<(u64, u64)> {
        ranges
            .iter()
            .map(|range| (range.start, range.end))
            .collect()
    }

    #[test]
    fn ranges_are_whole_blocks_apart_and_inside() {
        for (extents, expected) in [
            (&[][..], &[][..]),
            (&[(0, 9000)], &[(0, 9000)]),
            (&[(512, 1024)], &[(0, 4096)]),
            (&[(0, 512), (1024, 1536)], &[(0, 4096)]),
            (&[(0, 4096), (4096, 8192)], &[(0, 8192)]),
            (&[(0, 1), (8192, 8193)], &[(0, 4096), (8192, 9000)]),
            (&[(8192, 20000)], &[(8192, 9000)]),
            (&[(12288, 20000)], &[]),
        ] {
            let ranges = extents.iter().map(|&(start, end)| start..end).collect();
            assert_eq!(pairs(widen(ranges, 9000, BLOCK)), expected, "{extents:?}");
        }
    }

    #[test]
    fn holes_of_real_files_are_found() {
        let mut plain = tempfile::tempfile().unwrap();
        plain.write_all(&[1; 10_000]).unwrap();
        assert_eq!(found(&plain, 10_000), [(0, 10_000)]);
        assert!(!possible(10_000, plain.metadata().unwrap().blocks()));

        let length = (1 << 21) + 7;
        let sparse = tempfile::tempfile().unwrap();
        sparse.write_all_at(b"x", 1 << 20).unwrap();
        sparse.set_len(length).unwrap();
        assert!(possible(length, sparse.metadata().unwrap().blocks()));
        assert_eq!(found(&sparse, length), [(1 << 20, (1 << 20) + BLOCK)]);

        let empty = tempfile::tempfile().unwrap();
        empty.set_len(5000).unwrap();
        assert_eq!(found(&empty, 5000), []);
    }
}
