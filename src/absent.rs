//! Files and directories that need not be there.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// What `result` has; none where there is no file of that name, or what should be a directory above
/// it is something else.
///
/// # Errors
/// Every other error of `result`.
pub(crate) fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// The names in `directory`, sorted by their bytes; none where there is no such directory.
///
/// # Errors
/// If it is there and can't be listed.
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
    fn only_what_is_absent_is_no_error() {
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
