//! Standard output, which gets the results of commands.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Error, Result};

/// What fails if standard output cannot be written.
pub(crate) const WRITING: &str = "writing to standard output";

/// Writes `bytes` to standard output.
///
/// # Errors
/// If it cannot be written. A reader that has left, as `head` does, is no error: it has what it wanted.
pub(crate) fn print(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    match written.context(WRITING) {
        Err(error) if is_left(&error) => Ok(()),
        written => written,
    }
}

/// Whether `error` is that the reader of a pipe has left.
pub(crate) fn is_left(error: &Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
