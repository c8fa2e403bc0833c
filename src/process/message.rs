//! The parts of an error about a child: its command line, and its last output.

use std::ffi::OsStr;
use std::iter;
use std::process::Command;

use shlex::bytes::Quoter;

use crate::escape;

/// The most bytes of a command line that an error shows.
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

/// Formats `tail`, the end of a child's output.
pub(super) fn last_output(tail: &[u8]) -> String {
    if tail.trim_ascii().is_empty() {
        return "no output".to_owned();
    }
    let lines: Vec<String> = tail
        .trim_ascii()
        .split(|&byte| byte == b'\n')
        .map(|line| format!("  {}", escape::bytes(line.trim_ascii_end())))
        .collect();
    format!("last output:\n{}", lines.join("\n"))
}
