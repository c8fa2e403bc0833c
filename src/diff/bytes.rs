//! Finds the bytes in which two parts of disks differ.

use std::ops::Range;

use anyhow::Result;

use crate::container::Disk;
use crate::volume::Region;

/// Disks are read in pieces of this many bytes.
const PIECE: usize = 64 << 10;

/// Takes the offset of a run of bytes that differ, and the bytes of both sides.
type Each<'a> = dyn FnMut(u64, [&[u8]; 2]) + 'a;

/// Calls `each` with every run of bytes in the part `range` of both regions that differ, and with the
/// bytes. A run may continue in the next one.
///
/// # Errors
/// If an image cannot be read.
pub fn each(regions: [&Region<'_>; 2], range: Range<u64>, each: &mut Each<'_>) -> Result<()> {
    let [a, b] = regions;
    let mut buffers = [vec![0; PIECE], vec![0; PIECE]];
    let mut at = range.start;
    // Where the next data of each is, which is not looked for again before it is reached.
    let mut data = [at; 2];
    while at < range.end {
        for (data, region) in data.iter_mut().zip(regions) {
            if *data <= at {
                *data = region.next_data(at..range.end)?;
            }
        }
        // Holes in both are equal.
        at = at.max(data[0].min(data[1]));
        if at >= range.end {
            break;
        }
        // usize to u64: lossless on every target Rust has.
        let piece = PIECE as u64;
        let next = (at / piece)
            .saturating_add(1)
            .saturating_mul(piece)
            .min(range.end);
        let count = usize::try_from(next.saturating_sub(at))?;
        let [first, second] = &mut buffers;
        let (first, second) = (&mut first[..count], &mut second[..count]);
        a.read(at, first, "a part of the disk")?;
        b.read(at, second, "a part of the disk")?;
        if first != second {
            runs(at, [first, second], each);
        }
        at = next;
    }
    Ok(())
}

/// Calls `each` with the runs in two buffers from the byte `at` on.
fn runs(at: u64, [a, b]: [&[u8]; 2], each: &mut Each<'_>) {
    let mut position = 0;
    while let Some(start) = (position..a.len()).find(|&index| a[index] != b[index]) {
        let end = (start..a.len())
            .find(|&index| a[index] == b[index])
            .unwrap_or(a.len());
        // As above.
        each(
            at.saturating_add(start as u64),
            [&a[start..end], &b[start..end]],
        );
        position = end;
    }
}

/// The first byte in which two files differ.
///
/// # Errors
/// If they cannot be read.
pub fn first_in_files(a: &Disk, b: &Disk) -> Result<Option<u64>> {
    let mut buffers = [vec![0; PIECE], vec![0; PIECE]];
    let shortest = a.file_length().min(b.file_length());
    let mut at = 0;
    while at < shortest {
        let [first, second] = &mut buffers;
        a.read_file(at, first)?;
        b.read_file(at, second)?;
        if let Some(index) = super::contents::first_difference(first, second) {
            // As above.
            return Ok(Some(at.saturating_add(index as u64)));
        }
        at = at.saturating_add(PIECE as u64);
    }
    Ok((a.file_length() != b.file_length()).then_some(shortest))
}
