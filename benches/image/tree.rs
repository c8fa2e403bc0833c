//! Reproducible directories of store paths.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::shape::Shape;

/// The size of a tree.
pub struct Counts {
    /// Number of regular files.
    pub files: u64,
    /// Total size of the regular files, in bytes.
    pub bytes: u64,
    /// Number of symbolic links.
    pub links: u64,
    /// Number of directories.
    pub directories: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} files with {} MiB, {} links, {} directories",
            self.files,
            self.bytes >> 20,
            self.links,
            self.directories
        )
    }
}

/// Creates a tree of the given shape at `store`.
pub fn make(store: &Path, shape: &Shape) -> Counts {
    let Shape {
        sizes,
        largest,
        packages,
        directories: all,
        long_links,
        short_links,
    } = shape.clone();
    fs::create_dir(store).unwrap();
    let noise = noise(4 << 20);
    let mut next = numbers();
    let mut directories = Vec::new();
    for package in 0..packages {
        directories.push(package_directory(store, package));
    }
    // Up to three levels below each package.
    for index in packages..all {
        let above = if index < 5 * packages {
            index % packages
        } else {
            next() % (all / 4).min(index)
        };
        directories.push(directories[above].join(format!("directory-{index}")));
    }
    for directory in &directories {
        fs::create_dir(directory).unwrap();
    }
    let mut paths = Vec::new();
    let mut bytes = 0;
    for (class, (count, total)) in sizes.into_iter().enumerate() {
        for index in 0..count {
            // Distributed from 0.5 to 1.5 times the mean.
            let mean = total / count;
            let size = mean / 2 + (mean * index) / count;
            let at = match (class, index < largest) {
                (0, true) => packages,
                _ => next() % all,
            };
            let path = directories[at].join(format!("file-{class}-{index}.so"));
            let executable = index % 8 == 0;
            let mode = if executable { 0o555 } else { 0o444 };
            write(&path, size, mode, next() % (1 << 20), &noise);
            bytes += size;
            paths.push(path);
        }
    }
    for index in 0..long_links {
        // Distributed over about 1,500 directories, as in a directory of links.
        let at = (index % 1500) * packages % all;
        let mut target = PathBuf::from("/nix/store");
        target.push(paths[index * 3].strip_prefix(store).unwrap());
        link(&target, &directories[at].join(format!("link-{index}")));
    }
    for index in 0..short_links {
        let at = next() % all;
        let target = format!("lib{index}.so.1.2.3");
        link(
            Path::new(&target),
            &directories[at].join(format!("lib{index}.so")),
        );
    }
    for directory in directories.iter().rev() {
        seal(directory);
    }
    Counts {
        files: paths.len() as u64,
        bytes: bytes as u64,
        links: (long_links + short_links) as u64,
        directories: all as u64,
    }
}

/// Creates a store path at `store` with `count` directories of `entries` empty files each.
pub fn make_large_directories(store: &Path, count: usize, entries: usize) {
    fs::create_dir(store).unwrap();
    let package = package_directory(store, 0);
    fs::create_dir(&package).unwrap();
    for directory in 0..count {
        let directory = package.join(format!("directory-{directory}"));
        fs::create_dir(&directory).unwrap();
        for entry in 0..entries {
            write(
                &directory.join(format!("file-{entry}.so")),
                0,
                0o444,
                0,
                &[],
            );
        }
        seal(&directory);
    }
    seal(&package);
}

/// Returns the path of the package with this number.
pub fn package_directory(store: &Path, package: usize) -> PathBuf {
    store.join(format!("{}-package-{package}-1.0", hash(package)))
}

fn write(path: &Path, size: usize, mode: u32, offset: usize, noise: &[u8]) {
    use std::io::Write;

    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .unwrap();
    let mut left = size;
    let mut from = offset;
    while left > 0 {
        let length = left.min(noise.len() - from);
        file.write_all(&noise[from..from + length]).unwrap();
        left -= length;
        from = 0;
    }
    set_time(path);
}

fn link(target: &Path, path: &Path) {
    symlink(target, path).unwrap();
    set_time(path);
}

fn seal(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o555)).unwrap();
    set_time(directory);
}

/// Sets the modification time to one second after 1970, as Nix does.
fn set_time(path: &Path) {
    let time = TimeSpec::new(1, 0);
    utimensat(
        AT_FDCWD,
        path,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )
    .unwrap();
}

/// Returns 32 characters in Nix's base 32.
fn hash(seed: usize) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut state = seed;
    let digit = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(DIGITS[state >> 59])
    };
    (0..32).map(digit).collect()
}

/// Returns a generator of pseudorandom numbers (Knuth's linear congruential generator).
fn numbers() -> impl FnMut() -> usize {
    let mut state: usize = 1;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut next = numbers();
    (0..length).map(|_| next().to_le_bytes()[0]).collect()
}
