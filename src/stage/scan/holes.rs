//! Holes of a file of this machine.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::tree::DataRange;

/// What file systems allocate and writers place, in bytes.
const BLOCK: u64 = 4096;

/// Whether a file of `size` bytes that takes `sectors` of 512 bytes (`st_blocks`, whatever the file
/// system's block is, stat(3type)) can have a hole at all. One that is stored compressed takes less
/// room than it is long, too, and has none.
pub fn possible(size: u64, sectors: i64) -> bool {
    u64::try_from(sectors).map_or(0, |sectors| sectors.saturating_mul(512)) < size
}

/// The data of the first `size` bytes of `file`, widened to whole blocks; `None` where there is no
/// hole (lseek(2), `SEEK_DATA`).
pub fn data_ranges(file: &File, size: u64) -> io::Result<Option<Vec<DataRange>>> {
    let mut extents = Vec::new();
    let mut at = 0;
    while at < size {
        let Some(start) = seek(file, at, Whence::SeekData)? else {
            break;
        };
        let end = seek(file, start, Whence::SeekHole)?.unwrap_or(size);
        if end <= start {
            // Somebody cut the file meanwhile.
            break;
        }
        extents.push((start, end));
        at = end;
    }
    let ranges = widen(&extents, size);
    let whole = DataRange {
        offset: 0,
        length: size,
    };
    Ok((ranges != [whole]).then_some(ranges))
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

/// Extents (first byte, byte after the last) in order, as ranges of whole blocks within `size`.
fn widen(extents: &[(u64, u64)], size: u64) -> Vec<DataRange> {
    let mut ranges: Vec<DataRange> = Vec::new();
    for &(start, end) in extents {
        let start = start / BLOCK * BLOCK;
        let end = end.div_ceil(BLOCK).saturating_mul(BLOCK).min(size);
        match ranges.last_mut() {
            Some(last) if last.offset + last.length >= start => {
                last.length = end.saturating_sub(last.offset).max(last.length);
            }
            _ if end > start => ranges.push(DataRange {
                offset: start,
                length: end - start,
            }),
            _ => {}
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use nix::sys::stat::fstat;

    use super::*;

    #[test]
    fn ranges_are_whole_blocks_apart_and_inside() {
        for (extents, size, expected) in [
            (&[][..], 9000, &[][..]),
            (&[(0, 9000)], 9000, &[(0, 9000)]),
            (&[(512, 1024)], 9000, &[(0, 4096)]),
            (&[(0, 512), (1024, 1536)], 9000, &[(0, 4096)]),
            (&[(0, 4096), (4096, 8192)], 9000, &[(0, 8192)]),
            (&[(0, 1), (8192, 8193)], 9000, &[(0, 4096), (8192, 808)]),
            (&[(8192, 20000)], 9000, &[(8192, 808)]),
            (&[(12288, 20000)], 9000, &[]),
        ] {
            let ranges: Vec<(u64, u64)> = widen(extents, size)
                .iter()
                .map(|range| (range.offset, range.length))
                .collect();
            assert_eq!(ranges, expected, "{extents:?}");
        }
    }

    #[test]
    fn holes_of_real_files_are_found() {
        let mut plain = tempfile::tempfile().unwrap();
        plain.write_all(&[1; 10_000]).unwrap();
        assert_eq!(data_ranges(&plain, 10_000).unwrap(), None);

        let sparse = tempfile::tempfile().unwrap();
        sparse.write_all_at(b"x", 1 << 20).unwrap();
        sparse.set_len((1 << 21) + 7).unwrap();
        let sectors = fstat(&sparse).unwrap().st_blocks;
        assert!(possible((1 << 21) + 7, sectors));
        assert!(!possible(10_000, fstat(&plain).unwrap().st_blocks));
        assert_eq!(
            data_ranges(&sparse, (1 << 21) + 7).unwrap().unwrap()[..],
            [DataRange {
                offset: 1 << 20,
                length: 4096
            }]
        );

        let empty = tempfile::tempfile().unwrap();
        empty.set_len(5000).unwrap();
        assert_eq!(data_ranges(&empty, 5000).unwrap().unwrap()[..], []);
    }
}
