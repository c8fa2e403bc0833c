//! Runs a machine until the guest in it ends.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::console::{Console, End};
use super::halt::{Failure, Halt};
use super::machine::{self, Ready, Run};
use super::vhost::Server;
use crate::escape;
use crate::process::Watched;

/// How much of the end of a machine's messages is kept, in bytes.
const TAIL: usize = 2048;

/// How long to wait for the end of a machine's messages after the machine has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A guest that has ended or was stopped.
pub struct Ended {
    /// Its console.
    pub console: Console,
    /// How it ended.
    pub end: End,
    /// The name of the machine's program.
    pub machine: &'static str,
    /// The end of that program's messages, escaped for printing.
    pub messages: String,
    /// How long it ran.
    pub time: Duration,
    /// Why the guest could not continue, if its disks failed.
    pub failure: Option<Failure>,
    /// File with the EFI variables, if the machine had any.
    pub efi_variables: Option<PathBuf>,
}

/// Starts `machine` for `run`, and stops it when the guest has ended, cannot continue, or reaches its
/// time limit. Init must start within `first`, and the machine may take `off` to power off.
///
/// # Errors
/// If the machine cannot be started. A failure of the guest is not an error here.
pub fn attempt(machine: Ready, run: &Run<'_>, first: Duration, off: Duration) -> Result<Ended> {
    let (reader, writer) = std::io::pipe().context("creating a pipe for the guest's console")?;
    let (errors, errors_end) = std::io::pipe()
        .with_context(|| format!("creating a pipe for {}'s messages", machine.name))?;
    let mut command = machine.command;
    command
        .current_dir(run.directory)
        .stdout(Stdio::from(writer))
        .stderr(Stdio::from(errors_end));
    let messages = end_of(errors);
    let begin = Instant::now();
    let mut console = Console::new(reader, &run.job.token);
    let needed = run.disk.length().saturating_mul(2);
    let halt = Arc::new(Halt::new(console.stop(), run.directory, needed));
    let disks = [run.make_disk()?, run.make_report()?];
    let server = |name| Server::new(run.directory, name, halt.clone());
    let servers = [server(machine::DISK)?, server(machine::REPORT)?];
    let (end, served) = thread::scope(|scope| {
        let threads: Vec<_> = servers
            .iter()
            .zip(disks)
            .map(|(server, disk)| scope.spawn(|| server.serve(disk)))
            .collect();
        let end = follow(command, &mut console, first, run.machine.timeout, off);
        for server in &servers {
            // The machine has ended, but a process that it left behind may keep a connection open: the
            // servers must not wait for it.
            server.stop();
        }
        let ends = threads.into_iter().map(|thread| {
            let end = thread.join();
            end.unwrap_or_else(|_| Err(anyhow!("a thread that serves the guest panicked")))
        });
        // All threads must be joined, even if one failed.
        let ends: Vec<Result<()>> = ends.collect();
        (end, ends.into_iter().collect::<Result<()>>())
    });
    let end = end?;
    console.finish();
    Ok(Ended {
        console,
        end,
        machine: machine.name,
        // A process that the machine left behind may keep the pipe open.
        messages: lines(&messages.recv_timeout(DRAIN_TIMEOUT).unwrap_or_default()),
        time: begin.elapsed(),
        failure: halt.failure().or(served.err().map(Failure::Unreadable)),
        efi_variables: machine.efi_variables,
    })
}

/// Returns a channel for the last bytes of `stream`, sent when it ends.
fn end_of(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // The receiver may have stopped waiting.
        let _ = sender.send(tail(&mut stream));
    });
    receiver
}

/// Returns the last [`TAIL`] bytes of `stream`.
fn tail(stream: &mut impl Read) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut buffer = [0; TAIL];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        tail.extend_from_slice(&buffer[..length]);
        tail.drain(..tail.len().saturating_sub(TAIL));
    }
    tail
}

/// Starts a machine with `command`, and stops it when the guest has ended, cannot continue, or reaches
/// its time limit.
fn follow(
    mut command: Command,
    console: &mut Console,
    first: Duration,
    limit: Duration,
    off: Duration,
) -> Result<End> {
    let machine = Watched::start(&mut command).context("starting the guest")?;
    // The command holds the other ends of the pipes and sockets, so they would never be closed.
    drop(command);
    let end = console.follow(first, limit);
    if matches!(end, End::Exit(_)) {
        // It powers off by itself, so the machine can finish its writes.
        console.drain(off);
    }
    drop(machine);
    Ok(end)
}

fn lines(bytes: &[u8]) -> String {
    let lines = bytes.split(|&byte| byte == b'\n').map(escape::bytes);
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}
