//! The directory for the file that is the guest's memory.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use crate::escape;
use crate::guest::room;
use crate::spec::Machine;

/// What a machine needs in addition to the guest's memory, in bytes.
const OVERHEAD: u64 = 32 << 20;

/// A file system in memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// Returns the directory for the memory of `machine`: one in memory if it has room, otherwise `own`.
///
/// # Errors
/// The reason why neither can be used. If memory did not fit, the kernel would be killed (SIGBUS) as soon
/// as a page cannot be stored.
pub fn directory(machine: &Machine, own: &Path) -> Result<PathBuf, String> {
    let needed = machine.memory.saturating_mul(1 << 20);
    let needed = needed.saturating_add(OVERHEAD);
    let mut reasons = Vec::new();
    for directory in [Path::new(SHARED_MEMORY), own] {
        match fits(directory, needed) {
            Ok(()) => return Ok(directory.to_owned()),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(format!(
        "User-Mode Linux needs a directory for the guest's memory: {}",
        reasons.join("; ")
    ))
}

fn fits(directory: &Path, needed: u64) -> Result<(), String> {
    let name = escape::path(directory);
    let found = statvfs(directory).map_err(|error| format!("{name}: {}", error.desc()))?;
    if found.flags().contains(FsFlags::ST_NOEXEC) {
        return Err(format!("{name} is mounted noexec"));
    }
    match room::free(directory) {
        Some(free) if free < needed => {
            Err(format!("{name} has {free} of the needed {needed} bytes"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_must_have_room() {
        assert_eq!(fits(Path::new("/tmp"), 1), Ok(()));
        let error = fits(Path::new(SHARED_MEMORY), u64::MAX).unwrap_err();
        assert!(
            error.starts_with("/dev/shm has ")
                && error.ends_with(&format!(" of the needed {} bytes", u64::MAX)),
            "{error}"
        );
        assert_eq!(
            fits(Path::new("/nonexistent"), 1).unwrap_err(),
            "/nonexistent: No such file or directory"
        );
    }
}
