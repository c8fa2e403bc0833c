//! Room for files on this machine.

use std::path::Path;

use anyhow::{Result, ensure};
use nix::sys::statvfs::statvfs;

use crate::escape;

/// How many bytes may still be written to files in `directory`; `None` where nobody knows.
pub fn free(directory: &Path) -> Option<u64> {
    let found = statvfs(directory).ok()?;
    // What an ordinary user may take.
    found.blocks_available().checked_mul(found.fragment_size())
}

/// Checks that there is room for `needed` bytes of `what` in `directory`.
///
/// # Errors
/// If there is not: with both numbers.
pub fn check(directory: &Path, needed: u64, what: &str) -> Result<()> {
    let free = free(directory).unwrap_or(u64::MAX);
    ensure!(
        needed <= free,
        "{what} takes {needed} bytes, and {} has room for {free}: make room there, or set TMPDIR to \
         a directory that has more",
        escape::path(directory)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_and_what_is_free_are_told() {
        let directory = Path::new("/dev/shm");
        check(directory, 1, "it").unwrap();
        let error = check(directory, u64::MAX, "it").unwrap_err().to_string();
        let expected = format!("it takes {} bytes, and /dev/shm has room for ", u64::MAX);
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(free(Path::new("/nonexistent")), None);
    }
}
