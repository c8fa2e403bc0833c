//! A directory of store paths with the files of real packages: programs, libraries, scripts,
//! documentation. Their bytes compress as those of a real system do.

use std::fs;
use std::path::Path;
use std::process::Command;

use walkdir::WalkDir;

use crate::common::target_directory;
use crate::place::sorted;
use crate::tree::{Counts, package_directory};

/// Unpacks the Debian packages of the fixture at `store`, as often as it takes to get at least `bytes`
/// bytes.
pub fn make(store: &Path, bytes: u64) -> Counts {
    let debs = target_directory().join("fixture/debs");
    assert!(
        debs.exists(),
        "{}: not found; run make setup",
        debs.display()
    );
    fs::create_dir(store).unwrap();
    let mut counts = Counts {
        files: 0,
        bytes: 0,
        links: 0,
        directories: 0,
    };
    let debs = sorted(&debs);
    for (number, deb) in debs.iter().cycle().enumerate() {
        if counts.bytes >= bytes {
            break;
        }
        let package = package_directory(store, number);
        let mut unpack = match number.checked_sub(debs.len()) {
            None => Command::new("dpkg"),
            Some(_) => Command::new("cp"),
        };
        match number.checked_sub(debs.len()) {
            None => unpack.arg("-x").arg(deb),
            Some(earlier) => unpack.arg("-a").arg(package_directory(store, earlier)),
        };
        let status = unpack.arg(&package).status().unwrap();
        assert!(status.success(), "{unpack:?}: {status}");
        count(&package, &mut counts);
    }
    counts
}

fn count(package: &Path, counts: &mut Counts) {
    for entry in WalkDir::new(package) {
        let entry = entry.unwrap();
        let kind = entry.file_type();
        if kind.is_dir() {
            counts.directories += 1;
        } else if kind.is_symlink() {
            counts.links += 1;
        } else {
            counts.files += 1;
            counts.bytes += entry.metadata().unwrap().len();
        }
    }
}
