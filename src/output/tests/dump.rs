//! Bytes as readable text.

use std::fmt::Write as _;

/// Returns `bytes` as lines of 16, in hexadecimal and ASCII, without lines of zeros. Lines that
/// repeat the previous one are replaced with an asterisk.
pub fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut previous: &[u8] = &[];
    let mut is_repeated = false;
    for (index, line) in bytes.chunks(16).enumerate() {
        if line.iter().all(|&byte| byte == 0) {
        } else if line == previous {
            if !is_repeated {
                out.push_str("*\n");
            }
            is_repeated = true;
            continue;
        } else {
            let _ = write!(out, "{:06x} ", index * 16);
            for pair in line.chunks(2) {
                out.push(' ');
                for byte in pair {
                    let _ = write!(out, "{byte:02x}");
                }
            }
            out.push_str("  ");
            let is_visible = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
            out.extend(line.iter().map(|byte| {
                if is_visible(byte) {
                    char::from(*byte)
                } else {
                    '.'
                }
            }));
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        previous = line;
        is_repeated = false;
    }
    out
}
