//! Holes in files on the host (lseek(2), `SEEK_DATA`), and bytes that could be holes.

use std::fs::File;
use std::io;
use std::ops::Range;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// Whether a file of `size` bytes that occupies `sectors` sectors of 512 bytes can have a hole at
/// all. `st_blocks` counts in this unit, regardless of the file system's block size (stat(3type)).
/// A compressed file may also occupy less space than its size without having a hole.
pub(crate) fn possible(size: u64, sectors: u64) -> bool {
    sectors.saturating_mul(512) < size
}

/// Whether `bytes` are all zeros.
pub(crate) fn is_zeros(bytes: &[u8]) -> bool {
    // The C library compares pieces with the widest instructions of the machine, without optimization, too.
    const ZEROS: &[u8] = &[0; 4096];
    let mut pieces = bytes.chunks(ZEROS.len());
    pieces.all(|piece| *piece == ZEROS[..piece.len()])
}

/// Returns the parts of the first `length` bytes of `file` that are not holes, in order and without
/// overlaps. They are widened to whole blocks of `block` bytes, except that the last one ends where
/// the file does. A file system that does not track holes reports the whole file as data.
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
            // The file was truncated in the meantime.
            break;
        }
        extents.push(start..end);
        at = end;
    }
    Ok(widen(extents, length, block))
}

/// Returns the first byte of `file` from `at` on that is not in a hole; `None` if there is none. Offsets
/// that lseek(2) does not take are taken for data, and so is what does not track holes.
///
/// # Errors
/// If seeking fails.
pub(crate) fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    if i64::try_from(at).is_err() {
        return Ok(Some(at));
    }
    match seek(file, at, Whence::SeekData) {
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(Some(at)),
        found => found,
    }
}

/// Returns the first byte of `file` from `at` on that is in a hole; `None` if there is none.
///
/// # Errors
/// If seeking fails.
pub(crate) fn next_hole(file: &File, at: u64) -> io::Result<Option<u64>> {
    match seek(file, at, Whence::SeekHole) {
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(None),
        found => found,
    }
}

/// Returns `None` if there is no further data or hole.
fn seek(file: &File, offset: u64, whence: Whence) -> io::Result<Option<u64>> {
    let offset = i64::try_from(offset).map_err(io::Error::other)?;
    match lseek(file, offset, whence) {
        Ok(found) => u64::try_from(found).map(Some).map_err(io::Error::other),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Widens sorted extents to whole blocks of `block` bytes, within `length`, and merges those that
/// touch.
pub(crate) fn widen(
    extents: impl IntoIterator<Item = Range<u64>>,
    length: u64,
    block: u64,
) -> Vec<Range<u64>> {
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
    fn one_byte_anywhere_is_not_zero() {
        for length in [0, 1, 255, 4095, 4096, 4097, 8193] {
            let mut bytes = vec![0; length];
            assert!(is_zeros(&bytes), "{length}");
            for at in 0..length {
                bytes[at] = 0x80;
                assert!(!is_zeros(&bytes), "{at} of {length}");
                bytes[at] = 0;
            }
        }
    }

    #[test]
    fn widens_extents_to_whole_blocks_and_merges_them() {
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
            let ranges = extents.iter().map(|&(start, end)| start..end);
            assert_eq!(pairs(widen(ranges, 9000, BLOCK)), expected, "{extents:?}");
        }
    }

    #[test]
    fn finds_holes_in_real_files() {
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
