//! Child processes. They are killed when this process exits, and errors include their output.

pub(crate) mod end;

mod message;
mod output;
#[cfg(test)]
mod tests;
mod watched;

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use self::output::Output;
use crate::code::Code;

pub(crate) use self::watched::Watched;

/// The time limit of tools that normally take seconds.
pub const USUAL: Duration = Duration::from_secs(600);

/// How much of its standard output [`output()`] returns, in bytes.
const OUTPUT: u64 = 64 << 10;

/// Runs `command` for at most `limit`, with an empty standard input. The end of its standard error
/// is kept for the error message, and its standard output is discarded.
///
/// When it exits, the other processes in its process group are killed.
///
/// # Errors
/// If it cannot be started, takes too long, or its status is not 0. The error has its command line,
/// its status and the end of its standard error.
pub fn quiet(command: &mut Command, limit: Duration) -> Result<()> {
    run(command, Stdio::null(), None, Some(limit), false)
}

/// Like [`quiet`], with `input` on the child's standard input.
///
/// # Errors
/// As for [`quiet`]. A child that exits without reading all of `input` is judged by its status.
pub fn quiet_with_input(command: &mut Command, input: &[u8], limit: Duration) -> Result<()> {
    let mut file = tempfile::tempfile().context("creating a temporary file for a child's input")?;
    file.write_all(input)
        .and_then(|()| io::Seek::rewind(&mut file))
        .context("writing a child's input to a temporary file")?;
    quiet_with_stdin(command, file, limit)
}

/// Like [`quiet`], with `stdin` as the child's standard input.
///
/// # Errors
/// As for [`quiet`].
pub fn quiet_with_stdin(
    command: &mut Command,
    stdin: impl Into<Stdio>,
    limit: Duration,
) -> Result<()> {
    run(command, stdin.into(), None, Some(limit), false)
}

/// Like [`quiet`]. Returns the beginning of its standard output, at most 64 KiB.
///
/// # Errors
/// As for [`quiet`].
pub fn output(command: &mut Command, limit: Duration) -> Result<Vec<u8>> {
    let mut file =
        tempfile::tempfile().context("creating a temporary file for a child's output")?;
    let stdout = file.try_clone().context("duplicating a file")?;
    run(
        command,
        Stdio::null(),
        Some(stdout.into()),
        Some(limit),
        false,
    )?;
    let mut output = Vec::new();
    io::Seek::rewind(&mut file)
        .and_then(|()| file.take(OUTPUT).read_to_end(&mut output))
        .context("reading a child's output from a temporary file")?;
    Ok(output)
}

/// Runs `command`, which is the caller's code and has no time limit, with an empty standard input.
/// Its output on both streams goes immediately and unmodified to our standard error, that is, to
/// the build's log.
///
/// # Errors
/// As for [`quiet`], with the end of both streams.
pub fn logged(command: &mut Command) -> Result<()> {
    run(command, Stdio::null(), None, None, true)
}

fn run(
    command: &mut Command,
    stdin: Stdio,
    stdout: Option<Stdio>,
    limit: Option<Duration>,
    echo: bool,
) -> Result<()> {
    let (reader, writer) = io::pipe().context("creating a pipe for a child's output")?;
    // One pipe for both streams keeps their order.
    let stdout = match echo {
        true => Stdio::from(writer.try_clone().context("duplicating a pipe")?),
        false => stdout.unwrap_or_else(Stdio::null),
    };
    command
        .stdin(stdin)
        .stdout(stdout)
        .stderr(writer)
        // In a Nix build, the log is a terminal, and a pager would wait forever.
        .env("PAGER", "cat");
    let running = Watched::start(command);
    // `command` holds our copies of the writing end. Unless they are closed, the pipe never ends.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut running = running?;
    let mut output = Output::new(reader, echo);
    let in_time = output.follow(&running.end()?, limit)?;
    let status = running.stop().context("waiting for a child")?;
    output.drain()?;
    let what = match limit {
        Some(limit) if !in_time => {
            format!("did not finish within {} s and was killed", limit.as_secs())
        }
        _ if status.success() => return Ok(()),
        _ => format!("failed with {status}{}", end::hint(status)),
    };
    Err(Code::Tool.error(format!(
        "{} {what}; {}",
        message::command_line(command),
        message::last_output(output.tail())
    )))
}
