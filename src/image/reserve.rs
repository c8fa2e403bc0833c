//! Blocks for what will be written, taken before it is.

use std::fs::File;
use std::ops::Range;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, fstatfs};

use crate::fs::{BLOCK, DataExtent};

/// Takes blocks for `extents`, which are in the order of their places, of a file system that begins
/// at `start` of `output` (in bytes), where that makes writing them faster: ext4 looks for a place
/// for every single block while it is written to, unless there is one. In memory it is no gain; on
/// file systems that share blocks between files or compress them, it keeps them from that.
///
/// # Errors
/// If there is no room. That a file system can't do it is none.
pub fn reserve(output: &File, extents: &[DataExtent], start: u64) -> nix::Result<()> {
    let pays = fstatfs(output).is_ok_and(|found| found.filesystem_type() == EXT4_SUPER_MAGIC);
    if !pays {
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
            // ext2 and ext3 are called the same and have no such thing. Whatever is wrong beside
            // that is met again by who writes.
            Ok(()) | Err(_) => return Ok(()),
        }
    }
}

/// The whole blocks of `extents` in bytes: as few ranges as there can be.
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
    fn neighbours_are_one_run_and_ends_are_those_of_blocks() {
        let extents = extents([(4096, 1), (8192, 4096), (12288, 5000), (40960, 4096)]);
        assert_eq!(runs(&extents), [4096..20480, 40960..45056]);
        assert_eq!(runs(&[]), []);
    }
}
