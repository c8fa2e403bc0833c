//! Files and directories that may be absent.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Turns "not found" into `None`: the file does not exist, or a component of the path above it is
/// not a directory.
///
/// # Errors
/// Returns every other error of `result`.
pub(crate) fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Returns the names in `directory`, sorted by their bytes; empty if the directory does not exist.
///
/// # Errors
/// If the directory exists but cannot be listed.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    let Some(entries) = optional(fs::read_dir(directory))? else {
        return Ok(Vec::new());
    };
    let mut names = entries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_only_missing_files() {
        let top = tempfile::tempdir().unwrap();
        for name in ["b", "a", "c"] {
            fs::write(top.path().join(name), "").unwrap();
        }
        assert_eq!(names(top.path()).unwrap(), ["a", "b", "c"]);
        for absent in ["d", "a", "a/b"] {
            assert!(names(&top.path().join(absent)).unwrap().is_empty());
        }
        assert_eq!(
            optional(fs::read(top.path().join("a"))).unwrap(),
            Some(vec![])
        );
        optional(fs::read(top.path())).unwrap_err();
    }
}
