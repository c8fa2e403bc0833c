//! Checks that no file of a root refers to the directory in which the root was created.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Error, Result, bail};
use memchr::memmem::Finder;
use walkdir::{DirEntry, WalkDir};

use crate::{escape, excerpt, untrusted};

/// How many bytes of a file are read at a time.
const CHUNK: usize = 1 << 20;

/// Checks that no symbolic link target and no file in `root` contains the path `work`.
///
/// # Errors
/// If there is one; the message lists all of them.
pub(super) fn check(root: &Path, work: &Path) -> Result<()> {
    let finder = Finder::new(work.as_os_str().as_bytes());
    let mut found = Vec::new();
    for entry in WalkDir::new(root).follow_root_links(false) {
        let entry = entry.map_err(|error| walk_error(error, root))?;
        let path = escape::path(entry.path());
        let leak = find_leak(&entry, &finder).with_context(|| format!("searching {path}"))?;
        found.extend(leak.map(|leak| format!("{path} ({leak})")));
    }
    if found.is_empty() {
        return Ok(());
    }
    found.sort_unstable();
    bail!(
        "the root created by nixos-install refers to the build directory {}, which the image must \
         not depend on: {}; make nixos-install write paths relative to the new root",
        escape::path(work),
        excerpt::list(&found, ", ")
    )
}

/// Converts an error of walking `root`, with its path escaped.
fn walk_error(error: walkdir::Error, root: &Path) -> Error {
    let path = escape::path(error.path().unwrap_or(root));
    let error = match error.into_io_error() {
        Some(error) => Error::new(error),
        None => Error::msg("file system loop"),
    };
    error.context(format!("searching {path}"))
}

/// Returns where `entry` contains the needle of `finder`, if it does.
fn find_leak(entry: &DirEntry, finder: &Finder<'_>) -> io::Result<Option<&'static str>> {
    let kind = entry.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(entry.path())?;
        let found = finder.find(target.as_os_str().as_bytes());
        return Ok(found.map(|_| "link target"));
    }
    if kind.is_file() && file_contains(untrusted::open(entry.path())?, finder)? {
        return Ok(Some("contents"));
    }
    Ok(None)
}

/// Whether `stream` contains the needle of `finder`. The end of each chunk is kept, to find matches
/// across chunks.
fn file_contains(mut stream: impl Read, finder: &Finder<'_>) -> io::Result<bool> {
    let needle = finder.needle();
    let mut buffer = Vec::with_capacity(CHUNK + needle.len());
    loop {
        let limit = CHUNK as u64; // usize to u64: lossless.
        if stream.by_ref().take(limit).read_to_end(&mut buffer)? == 0 {
            return Ok(false);
        }
        if finder.find(&buffer).is_some() {
            return Ok(true);
        }
        let kept = needle.len().saturating_sub(1).min(buffer.len());
        buffer.drain(..buffer.len() - kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn lists_link_targets_and_files_that_contain_the_path() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/file"), "/build/elsewhere").unwrap();
        symlink("/nix/store", root.join("a/link")).unwrap();
        check(&root, Path::new("/build/work")).unwrap();

        fs::write(root.join("a/b/file"), "x=/build/work/root\n").unwrap();
        symlink("../build/work", root.join("dangling")).unwrap();
        assert_eq!(
            check(&root, Path::new("/build/work"))
                .unwrap_err()
                .to_string(),
            format!(
                "the root created by nixos-install refers to the build directory /build/work, which \
                 the image must not depend on: {root}/a/b/file (contents), {root}/dangling (link \
                 target); make nixos-install write paths relative to the new root",
                root = root.display()
            )
        );
    }

    #[test]
    fn finds_a_path_that_spans_two_chunks() {
        let needle = b"/build/work";
        let finder = Finder::new(needle);
        for before in [0, 1, CHUNK - 11, CHUNK - 10, CHUNK - 5, CHUNK - 1, CHUNK] {
            let mut bytes = vec![b'/'; before];
            bytes.extend_from_slice(needle);
            assert!(file_contains(&bytes[..], &finder).unwrap(), "{before}");
            let all_but_one = &bytes[..bytes.len() - 1];
            assert!(!file_contains(all_but_one, &finder).unwrap(), "{before}");
        }
    }
}
