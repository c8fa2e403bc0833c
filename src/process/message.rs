//! What an error says of a child: its command line, and its last words.

use std::ffi::OsStr;
use std::iter;
use std::process::Command;

use shlex::bytes::Quoter;

use crate::escape;

/// How much of a command line an error shows, in bytes.
const LINE: usize = 2048;

/// The command line of `command`, quoted for a shell.
pub(super) fn command_line(command: &Command) -> String {
    let words = iter::once(command.get_program()).chain(command.get_args());
    // Only a NUL byte can't be quoted, and no command has one.
    let line = Quoter::new()
        .join(words.map(OsStr::as_encoded_bytes))
        .unwrap_or_default();
    escape::beginning(&line, LINE)
}

/// `tail`, the end of a child's output.
pub(super) fn last_words(tail: &[u8]) -> String {
    if tail.trim_ascii().is_empty() {
        return "it said nothing".to_owned();
    }
    let lines: Vec<String> = tail
        .trim_ascii()
        .split(|&byte| byte == b'\n')
        .map(|line| format!("  {}", escape::bytes(line.trim_ascii_end())))
        .collect();
    format!("it said last:\n{}", lines.join("\n"))
}
