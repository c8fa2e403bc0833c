//! The closure, as given by the build's references graph.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, bail};
use data_encoding::HEXLOWER;

use crate::spec::PathInfo;
use crate::{escape, excerpt};

/// Checks that every path of `closure` exists and is a file, directory or symbolic link.
///
/// # Errors
/// If a path is missing or of another type; the message has one line for each problem.
pub fn check(closure: &[PathInfo]) -> Result<()> {
    let mut problems = Vec::new();
    for info in closure {
        let path = escape::bytes(info.path.as_str().as_bytes());
        match fs::symlink_metadata(info.path.as_str()) {
            Err(error) => problems.push(format!("{path}: {error}")),
            Ok(metadata) => {
                let kind = metadata.file_type();
                if !kind.is_file() && !kind.is_dir() && !kind.is_symlink() {
                    problems.push(format!(
                        "{path}: unsupported file type; a store contains only files, \
                         directories and symbolic links"
                    ));
                }
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "cannot add the closure of {} paths to the image:\n  {}\n\
         repair the store with `nix-store --verify --check-contents --repair`, \
         or delete these paths and rebuild them",
        closure.len(),
        excerpt::list(&problems, "\n  ")
    )
}

/// Returns `closure` in the format of `nix-store --load-db` and `nix-store --dump-db`. For each
/// path, there is one line each for the path, the SHA-256 of its NAR in hexadecimal, the NAR's
/// length in bytes, the deriver (empty), the number of references, and every reference. Paths and
/// references are sorted.
///
/// The format has no field for the content address; [`install`](fn@super::install) adds it to the
/// database afterwards.
pub fn registration(closure: &[PathInfo]) -> Vec<u8> {
    let mut sorted: Vec<&PathInfo> = closure.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut text = String::new();
    for info in sorted {
        let mut references: Vec<&str> = info.references.iter().map(|path| path.as_str()).collect();
        references.sort_unstable();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}\n{}\n{}\n\n{}",
            info.path,
            HEXLOWER.encode(&info.nar_hash),
            info.nar_size,
            references.len()
        );
        for reference in references {
            text.push_str(reference);
            text.push('\n');
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;
    use crate::spec::StorePath;

    fn path(store: &Path, letter: &str, name: &str) -> StorePath {
        let store = store.to_str().unwrap();
        let text = format!("{store}/{}-{name}", letter.repeat(32));
        StorePath::new(&text, store).unwrap()
    }

    fn info(path: StorePath, references: Vec<StorePath>) -> PathInfo {
        PathInfo {
            path,
            nar_hash: [0xa5; 32],
            nar_size: 96,
            references,
            content_address: None,
        }
    }

    #[test]
    fn accepts_files_directories_and_symlinks() {
        let store = tempfile::tempdir().unwrap();
        let store = store.path();
        let [file, directory, link] =
            ["file", "directory", "link"].map(|name| path(store, "a", name));
        fs::write(file.as_str(), "").unwrap();
        fs::create_dir(directory.as_str()).unwrap();
        symlink("/nonexistent", link.as_str()).unwrap();
        check(&[
            info(file.clone(), vec![link.clone(), file]),
            info(directory, vec![]),
            info(link, vec![]),
        ])
        .unwrap();
        check(&[]).unwrap();
    }

    #[test]
    fn lists_all_broken_paths_together() {
        let store = tempfile::tempdir().unwrap();
        let store = store.path();
        let [gone, socket, file] = ["gone", "socket", "file"].map(|name| path(store, "a", name));
        let _listener = UnixListener::bind(socket.as_str()).unwrap();
        fs::write(file.as_str(), "").unwrap();
        let error = check(&[
            info(gone.clone(), vec![]),
            info(socket.clone(), vec![]),
            info(file, vec![]),
        ])
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot add the closure of 3 paths to the image:\n  \
                 {gone}: No such file or directory (os error 2)\n  \
                 {socket}: unsupported file type; a store contains only files, directories and \
                 symbolic links\n\
                 repair the store with `nix-store --verify --check-contents --repair`, \
                 or delete these paths and rebuild them"
            )
        );
    }

    #[test]
    fn a_registration_is_sorted() {
        let store = Path::new("/nix/store");
        let (a, b) = (path(store, "a", "x"), path(store, "b", "x"));
        let closure = [
            info(b.clone(), vec![b.clone(), a.clone()]),
            info(a.clone(), vec![]),
        ];
        let hash = "a5".repeat(32);
        assert_eq!(
            String::from_utf8(registration(&closure)).unwrap(),
            format!("{a}\n{hash}\n96\n\n0\n{b}\n{hash}\n96\n\n2\n{a}\n{b}\n")
        );
        assert!(registration(&[]).is_empty());
    }
}
