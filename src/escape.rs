//! Names from outside, made safe to print.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `bytes` as text for a message: control characters, characters that change the direction of
/// text, backslashes and bytes that are not UTF-8 as escapes, everything else as it is.
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

/// As [`bytes`], of a path.
pub fn path(path: &Path) -> String {
    bytes(path.as_os_str().as_bytes())
}

/// Marks that reorder what is printed after them (Unicode Standard Annex 9).
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_harms_a_terminal_is_escaped() {
        for (from, to) in [
            (&b"/nix/store/a b"[..], "/nix/store/a b"),
            ("/é".as_bytes(), "/é"),
            (b"a\nb\x1b[31m", "a\\nb\\u{1b}[31m"),
            (b"\xff\\", "\\xff\\\\"),
            ("\u{202e}x".as_bytes(), "\\u{202e}x"),
        ] {
            assert_eq!(super::bytes(from), to);
        }
    }
}
