//! Child processes: started so that they die with us, watched while they run, and with errors that
//! say what they said.

pub(crate) mod end;

mod message;
mod output;
#[cfg(test)]
mod tests;
mod watched;

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::output::Output;

pub(crate) use self::watched::Watched;

/// How long a tool that takes seconds may take: something is wrong with one that takes longer.
pub const USUAL: Duration = Duration::from_secs(600);

/// Runs `command` to its end, but for `limit` at most, with nothing on its standard input. Its
/// standard error is kept for the error message, and its standard output thrown away.
///
/// What it leaves running in its process group ends with it.
///
/// # Errors
/// If it can't be started, takes too long or its status is not 0: with its command line, its status
/// and the end of its standard error.
pub fn quiet(command: &mut Command, limit: Duration) -> Result<()> {
    run(command, Stdio::null(), Some(limit), false)
}

/// As [`quiet`], with `input` on the child's standard input.
///
/// # Errors
/// As [`quiet`]. A child that ends without having read everything is judged by its status.
pub fn quiet_with_input(command: &mut Command, input: &[u8], limit: Duration) -> Result<()> {
    let mut file = tempfile::tempfile().context("making a temporary file for a child's input")?;
    file.write_all(input)
        .and_then(|()| io::Seek::rewind(&mut file))
        .context("writing a child's input to a temporary file")?;
    run(command, Stdio::from(file), Some(limit), false)
}

/// Runs `command`, code of the caller's that may take as long as it likes, to its end with nothing on
/// its standard input; what it says on either stream goes to our standard error, that is to the
/// build's log, as it comes.
///
/// # Errors
/// As [`quiet`], with the end of both streams.
pub fn logged(command: &mut Command) -> Result<()> {
    run(command, Stdio::null(), None, true)
}

fn run(command: &mut Command, stdin: Stdio, limit: Option<Duration>, echo: bool) -> Result<()> {
    let (reader, writer) = io::pipe().context("making a pipe for a child's output")?;
    // One pipe for both streams keeps their order.
    let stdout = match echo {
        true => Stdio::from(writer.try_clone().context("duplicating a pipe")?),
        false => Stdio::null(),
    };
    command
        .stdin(stdin)
        .stdout(stdout)
        .stderr(writer)
        // In a Nix build the log is a terminal, and a pager would wait for ever.
        .env("PAGER", "cat");
    let running = Watched::start(command);
    // Our copies of the writing end live in `command`: without this the pipe never ends.
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
            format!("did not end within {} s and was killed", limit.as_secs())
        }
        _ if status.success() => return Ok(()),
        _ => format!("failed with {status}{}", end::hint(status)),
    };
    bail!(
        "{} {what}; {}",
        message::command_line(command),
        message::last_words(output.tail())
    )
}
