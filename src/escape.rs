//! Makes untrusted names safe to print.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Returns `bytes` as text for a message. Control characters, characters that change the direction
/// of text, backslashes, and bytes that are not UTF-8 are escaped. Everything else is unmodified.
pub fn bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() || is_bidirectional(c) {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String can't fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The most bytes of an untrusted value that a message shows.
const SHOWN: usize = 400;

/// Like [`bytes`], for values whose length is not limited (as that of paths and names is). Long
/// values are cut, and end with "…".
pub(crate) fn short(text: &[u8]) -> String {
    beginning(text, SHOWN)
}

/// Like [`bytes`], but text of more than `most` bytes is cut, and ends with "…".
pub(crate) fn beginning(text: &[u8], most: usize) -> String {
    if text.len() <= most {
        return bytes(text);
    }
    // Do not cut within a character, which has at most three bytes after its first.
    let is_first = |place: &usize| text.get(*place).is_some_and(|byte| byte & 0xc0 != 0x80);
    let places = most.saturating_sub(3)..=most;
    let end = places.rev().find(is_first).unwrap_or(most);
    format!("{}…", bytes(text.get(..end).unwrap_or_default()))
}

/// Like [`bytes`], for a path.
pub(crate) fn path(path: &Path) -> String {
    bytes(path.as_os_str().as_bytes())
}

/// Marks that reorder what is printed after them (Unicode Standard Annex 9).
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_harmful_characters_are_escaped() {
        for (from, to) in [
            (&b"/nix/store/a b"[..], "/nix/store/a b"),
            ("/é".as_bytes(), "/é"),
            (b"a\nb\x1b[31m", "a\\nb\\u{1b}[31m"),
            (b"\xff\\", "\\xff\\\\"),
            ("\u{202e}x".as_bytes(), "\\u{202e}x"),
        ] {
            assert_eq!(super::bytes(from), to);
            assert_eq!(super::short(from), to);
        }
    }

    #[test]
    fn long_text_is_cut() {
        let a = |count| "a".repeat(count);
        for (text, shown) in [
            (a(400), a(400)),
            (a(401), a(400) + "…"),
            (a(1 << 20), a(400) + "…"),
            (a(399) + "é", a(399) + "…"),
            (a(398) + "éé", a(398) + "é…"),
            (a(397) + "\u{10000}", a(397) + "…"),
            (a(396) + "\u{10000}b", a(396) + "\u{10000}…"),
        ] {
            assert_eq!(super::short(text.as_bytes()), shown);
        }
        assert_eq!(super::short(&[0x80; 500]), "\\x80".repeat(400) + "…");
    }
}
