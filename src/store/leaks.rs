//! The last look at a root: nothing in it may name the directory it was made in.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Error, Result, bail};
use memchr::memmem::Finder;
use walkdir::{DirEntry, WalkDir};

use crate::{escape, excerpt, untrusted};

/// How much of a file is in memory at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// Checks that no link target and no file in `root` has the path `work` in it.
///
/// # Errors
/// With every file that has.
pub(super) fn check(root: &Path, work: &Path) -> Result<()> {
    let finder = Finder::new(work.as_os_str().as_bytes());
    let mut found = Vec::new();
    for entry in WalkDir::new(root).follow_root_links(false) {
        let entry = entry.map_err(|error| unreadable(error, root))?;
        let path = escape::path(entry.path());
        let leak = look(&entry, &finder).with_context(|| format!("looking into {path}"))?;
        found.extend(leak.map(|leak| format!("{path} ({leak})")));
    }
    if found.is_empty() {
        return Ok(());
    }
    found.sort_unstable();
    bail!(
        "the root that nixos-install left names the build directory {}, which the image must not \
         depend on: {}; have nixos-install write paths that begin at the new root",
        escape::path(work),
        excerpt::list(&found, ", ")
    )
}

/// The error of a walk below `root`, with its path escaped.
fn unreadable(error: walkdir::Error, root: &Path) -> Error {
    let path = escape::path(error.path().unwrap_or(root));
    let error = match error.into_io_error() {
        Some(error) => Error::new(error),
        None => Error::msg("it leads to itself"),
    };
    error.context(format!("looking into {path}"))
}

/// Where in `entry` the bytes of `finder` are, if they are.
fn look(entry: &DirEntry, finder: &Finder<'_>) -> io::Result<Option<&'static str>> {
    let kind = entry.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(entry.path())?;
        let found = finder.find(target.as_os_str().as_bytes());
        return Ok(found.map(|_| "target of the link"));
    }
    if kind.is_file() && file_contains(untrusted::open(entry.path())?, finder)? {
        return Ok(Some("contents"));
    }
    Ok(None)
}

/// Whether `stream` has what `finder` looks for; the end of one chunk is kept before the next.
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
    fn links_and_contents_are_named_and_nothing_else() {
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
                "the root that nixos-install left names the build directory /build/work, which the \
                 image must not depend on: {root}/a/b/file (contents), {root}/dangling (target of \
                 the link); have nixos-install write paths that begin at the new root",
                root = root.display()
            )
        );
    }

    #[test]
    fn a_path_across_two_chunks_is_found() {
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
