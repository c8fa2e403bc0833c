//! How often the data of a file is written, guessed from its name by the kernel
//! (`set_file_temperature` in `fs/f2fs/namei.c`). Data of different temperatures has different logs.

/// The expected frequency of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temperature {
    /// Often written.
    Hot,
    /// Nothing is known.
    Warm,
    /// Written once.
    Cold,
}

/// Extensions of files with cold data, as `mkfs.f2fs` 1.16.0 writes them to the superblock. They
/// are beginnings: `mp` is also for `mp3`.
pub const COLD: [&str; 36] = [
    "mp", "wm", "og", "jp", "avi", "m4v", "m4p", "mkv", "mov", "webm", "wav", "m4a", "3gp", "opus",
    "flac", "gif", "png", "svg", "webp", "jar", "deb", "iso", "gz", "xz", "zst", "pdf", "pyc",
    "ttc", "ttf", "exe", "apk", "cnt", "exo", "odex", "vdex", "so",
];

/// Extensions of files with hot data.
pub const HOT: [&str; 4] = ["db", "vmdk", "vdi", "qcow2"];

/// Returns the temperature of the regular file `name`.
pub fn of_file(name: &[u8]) -> Temperature {
    // Few names have a dot.
    let dots = || memchr::memchr_iter(b'.', name).filter(|&at| at > 0);
    let found = |extension: &&str| {
        dots().any(|dot| {
            let start = name[dot + 1..].get(..extension.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(extension.as_bytes()))
        })
    };
    if dots().next().is_none() {
        return Temperature::Warm;
    }
    if COLD.iter().any(found) {
        Temperature::Cold
    } else if HOT.iter().any(found) {
        Temperature::Hot
    } else {
        Temperature::Warm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_beginnings_after_any_dot_but_the_first_byte() {
        for (name, expected) in [
            ("libc.so.6", Temperature::Cold),
            ("libc.So", Temperature::Cold),
            ("x.source.c", Temperature::Cold),
            ("a.mp3", Temperature::Cold),
            (".so", Temperature::Warm),
            ("so", Temperature::Warm),
            ("a.s", Temperature::Warm),
            ("db.sqlite", Temperature::Warm),
            ("db.db", Temperature::Hot),
            ("db.db.so", Temperature::Cold),
            ("disk.qcow2-new", Temperature::Hot),
        ] {
            assert_eq!(of_file(name.as_bytes()), expected, "{name}");
        }
    }
}
