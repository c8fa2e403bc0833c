//! Allocates blocks before they are written.

use std::fs::File;
use std::ops::Range;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, fstatfs};

use crate::fs::{BLOCK, DataExtent};

/// Allocates blocks for `extents`, ordered by their offsets in a file system that begins at `start`
/// of `output` (in bytes), if that makes writing them faster. Without it, ext4 searches for a place
/// for every single block written. In memory it gains nothing, and on file systems that share
/// blocks between files or compress them, it would prevent that.
///
/// # Errors
/// If there is not enough space. A file system that does not support it is not an error.
pub fn reserve(output: &File, extents: &[DataExtent], start: u64) -> nix::Result<()> {
    let is_faster = fstatfs(output).is_ok_and(|found| found.filesystem_type() == EXT4_SUPER_MAGIC);
    if !is_faster {
        return Ok(());
    }
    for run in runs(extents) {
        allocate(output, start + run.start..start + run.end)?;
    }
    Ok(())
}

fn allocate(output: &File, run: Range<u64>) -> nix::Result<()> {
    let length = run.end.saturating_sub(run.start);
    let (Ok(start), Ok(length)) = (i64::try_from(run.start), i64::try_from(length)) else {
        return Ok(());
    };
    loop {
        match fallocate(output, FallocateFlags::FALLOC_FL_KEEP_SIZE, start, length) {
            Err(Errno::EINTR) => {}
            Err(errno @ (Errno::ENOSPC | Errno::EDQUOT)) => return Err(errno),
            // ext2 and ext3 have the same magic number, but do not support it. Any other error
            // recurs when the blocks are written.
            Ok(()) | Err(_) => return Ok(()),
        }
    }
}

/// The whole blocks of `extents`, in bytes, merged into as few ranges as possible.
fn runs(extents: &[DataExtent]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for extent in extents {
        let (start, end) = (extent.offset, extent.offset.saturating_add(extent.length));
        let end = end.checked_next_multiple_of(BLOCK).unwrap_or(end);
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::extents;

    #[test]
    fn adjacent_extents_are_one_run_that_ends_with_a_block() {
        let extents = extents([(4096, 1), (8192, 4096), (12288, 5000), (40960, 4096)]);
        assert_eq!(runs(&extents), [4096..20480, 40960..45056]);
        assert_eq!(runs(&[]), []);
    }
}
