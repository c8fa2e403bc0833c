//! Images that are damaged in one place.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::limited;

/// A damaged image: the base from which it is made, what is written where, and what the error says.
pub struct Damage {
    pub base: &'static str,
    pub writes: &'static [(u64, &'static [u8])],
    /// The new length, if it is another one.
    pub length: Option<u64>,
    /// Other arguments.
    pub place: Option<&'static str>,
    pub message: &'static str,
}

/// A base that is changed in places.
pub const fn damage(
    base: &'static str,
    writes: &'static [(u64, &'static [u8])],
    message: &'static str,
) -> Damage {
    Damage {
        base,
        writes,
        length: None,
        place: None,
        message,
    }
}

/// A base that is shorter.
pub const fn cut(base: &'static str, length: u64, message: &'static str) -> Damage {
    Damage {
        length: Some(length),
        ..damage(base, &[], message)
    }
}

/// A changed base of which a place is listed or printed.
pub const fn file(
    base: &'static str,
    writes: &'static [(u64, &'static [u8])],
    place: &'static str,
    message: &'static str,
) -> Damage {
    Damage {
        place: Some(place),
        ..damage(base, writes, message)
    }
}

/// Applies each damage to a copy of its base in `directory`, and asserts that `inspect` refuses it with the
/// message, and that `diff` ends, too.
pub fn are_refused(directory: &Path, damages: &[Damage]) {
    let image = directory.join("image");
    let mut wrong = Vec::new();
    for Damage {
        base,
        writes,
        length,
        place,
        message,
    } in damages
    {
        let base = directory.join(base);
        fs::copy(&base, &image).unwrap();
        let file = File::options().write(true).open(&image).unwrap();
        for (at, bytes) in *writes {
            file.write_all_at(bytes, *at).unwrap();
        }
        if let Some(length) = length {
            file.set_len(*length).unwrap();
        }
        let arguments = [image.as_os_str()];
        let arguments = arguments.into_iter().chain(place.map(OsStr::new));
        let (code, text) = limited("inspect", arguments);
        if code != 1 || !text.contains(message) {
            wrong.push(format!("{}, {message}: {code}\n{text}", base.display()));
        }
        let (code, text) = limited("diff", [&image, &base]);
        assert!(code <= 2, "{}, {message}: {code}\n{text}", base.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
