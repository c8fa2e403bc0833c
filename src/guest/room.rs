//! Free space for files on the host.

use std::path::Path;

use anyhow::{Result, ensure};
use nix::sys::statvfs::statvfs;

use crate::escape;

/// Returns how many bytes can still be written to files in `directory`, or `None` if it is unknown.
pub fn free(directory: &Path) -> Option<u64> {
    let found = statvfs(directory).ok()?;
    // Without the blocks reserved for root.
    found.blocks_available().checked_mul(found.fragment_size())
}

/// Checks that `directory` has space for the `needed` bytes of `name`.
///
/// # Errors
/// If it has not. The error contains both numbers.
pub fn check(directory: &Path, needed: u64, name: &str) -> Result<()> {
    let free = free(directory).unwrap_or(u64::MAX);
    ensure!(
        needed <= free,
        "{name} needs {needed} bytes, but {} has only {free} available: free space there, or set \
         TMPDIR to a directory with more space",
        escape::path(directory)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_the_needed_and_the_available_bytes() {
        let directory = Path::new("/dev/shm");
        check(directory, 1, "it").unwrap();
        let error = check(directory, u64::MAX, "it").unwrap_err().to_string();
        let expected = format!("it needs {} bytes, but /dev/shm has only ", u64::MAX);
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(free(Path::new("/nonexistent")), None);
    }
}
