//! The last look at a root: nothing in it may name the directory it was made in.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{escape, excerpt};

/// How much of a file is in memory at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// Checks that no link target and no file in `root` has the path `work` in it.
///
/// # Errors
/// With every file that has.
pub(super) fn check(root: &Path, work: &Path) -> Result<()> {
    let needle = work.as_os_str().as_bytes();
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for name in super::clean::names(&directory)? {
            let path = directory.join(name);
            let leak = look(&path, needle)
                .with_context(|| format!("looking into {}", escape::path(&path)))?;
            match leak {
                Some(leak) => found.push(format!("{} ({leak})", escape::path(&path))),
                None if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) => {
                    directories.push(path);
                }
                None => {}
            }
        }
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

/// Where in the file at `path` the bytes `needle` are, if they are.
fn look(path: &Path, needle: &[u8]) -> io::Result<Option<&'static str>> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(path)?;
        return Ok(contains(target.as_os_str().as_bytes(), needle).then_some("target of the link"));
    }
    if kind.is_file() && file_contains(File::open(path)?, needle)? {
        return Ok(Some("contents"));
    }
    Ok(None)
}

/// Whether `needle` is in `stream`; the end of one chunk is kept before the next.
fn file_contains(mut stream: impl Read, needle: &[u8]) -> io::Result<bool> {
    let mut buffer = Vec::with_capacity(CHUNK + needle.len());
    loop {
        let limit = CHUNK as u64; // usize to u64: lossless.
        if stream.by_ref().take(limit).read_to_end(&mut buffer)? == 0 {
            return Ok(false);
        }
        if contains(&buffer, needle) {
            return Ok(true);
        }
        let kept = needle.len().saturating_sub(1).min(buffer.len());
        buffer.drain(..buffer.len() - kept);
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else {
        return false;
    };
    bytes
        .windows(needle.len())
        .any(|window| window[0] == *first && window == needle)
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
        for before in [0, 1, CHUNK - 11, CHUNK - 10, CHUNK - 5, CHUNK - 1, CHUNK] {
            let mut bytes = vec![b'/'; before];
            bytes.extend_from_slice(needle);
            assert!(file_contains(&bytes[..], needle).unwrap(), "{before}");
            let all_but_one = &bytes[..bytes.len() - 1];
            assert!(!file_contains(all_but_one, needle).unwrap(), "{before}");
        }
    }
}
