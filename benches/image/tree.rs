//! A directory of store paths: the size and shape of a small NixOS, the same every time.
//!
//! The numbers are those of 207 Debian packages, laid out as store paths, and of a directory of
//! links to all of them as `buildEnv` makes it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

/// Sizes of regular files: how many there are, and MiB of all of them together.
const SIZES: [(usize, usize); 9] = [
    (6_555, 0),
    (32_352, 16),
    (30_072, 61),
    (19_853, 160),
    (10_579, 319),
    (3_556, 407),
    (806, 372),
    (220, 712),
    (29, 1025),
];
/// Empty files in the one large directory.
const LARGEST: usize = 6_447;
const PACKAGES: usize = 207;
/// Directories in all.
const DIRECTORIES: usize = 14_687;
/// Links of the directory of links, each with a target that needs a block in ext4.
const LONG_LINKS: usize = 30_318;
/// Links within packages.
const SHORT_LINKS: usize = 13_626;

/// Makes the tree at `store` and says what is in it.
pub fn make(store: &Path) -> String {
    fs::create_dir(store).unwrap();
    let noise = noise(4 << 20);
    let mut next = numbers();
    let mut directories = Vec::new();
    for package in 0..PACKAGES {
        directories.push(store.join(format!("{}-package-{package}-1.0", hash(package))));
    }
    // Up to three levels below each package.
    for index in PACKAGES..DIRECTORIES {
        let above = if index < 5 * PACKAGES {
            index % PACKAGES
        } else {
            next() % (DIRECTORIES / 4).min(index)
        };
        directories.push(directories[above].join(format!("directory-{index}")));
    }
    for directory in &directories {
        fs::create_dir(directory).unwrap();
    }
    let mut paths = Vec::new();
    let mut bytes = 0;
    for (class, (count, mib)) in SIZES.into_iter().enumerate() {
        for index in 0..count {
            // Spread from a half to one and a half of the mean.
            let mean = (mib << 20) / count;
            let size = mean / 2 + (mean * index) / count;
            let at = match (class, index < LARGEST) {
                (0, true) => PACKAGES,
                _ => next() % DIRECTORIES,
            };
            let path = directories[at].join(format!("file-{class}-{index}.so"));
            write(&path, size, next() % (1 << 20), &noise);
            bytes += size;
            let executable = index % 8 == 0;
            seal(&path, if executable { 0o555 } else { 0o444 });
            paths.push(path);
        }
    }
    for index in 0..LONG_LINKS {
        // In about 1,500 directories, as those of a directory of links are.
        let at = (index % 1500) * PACKAGES % DIRECTORIES;
        let mut target = PathBuf::from("/nix/store");
        target.push(paths[index * 3].strip_prefix(store).unwrap());
        link(&target, &directories[at].join(format!("link-{index}")));
    }
    for index in 0..SHORT_LINKS {
        let at = next() % DIRECTORIES;
        let target = format!("lib{index}.so.1.2.3");
        link(
            Path::new(&target),
            &directories[at].join(format!("lib{index}.so")),
        );
    }
    for directory in directories.iter().rev() {
        seal(directory, 0o555);
    }
    format!(
        "{} files of {} MiB, {} links, {DIRECTORIES} directories",
        paths.len(),
        bytes >> 20,
        LONG_LINKS + SHORT_LINKS
    )
}

fn write(path: &Path, size: usize, offset: usize, noise: &[u8]) {
    use std::io::Write;

    let mut file = fs::File::create(path).unwrap();
    let mut left = size;
    let mut from = offset;
    while left > 0 {
        let length = left.min(noise.len() - from);
        file.write_all(&noise[from..from + length]).unwrap();
        left -= length;
        from = 0;
    }
}

fn link(target: &Path, path: &Path) {
    symlink(target, path).unwrap();
    set_time(path);
}

fn seal(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set_time(path);
}

/// One second after 1970, as Nix has it.
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

/// 32 characters of Nix's base 32.
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

/// Numbers that look like chance (Knuth's linear congruential generator).
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
