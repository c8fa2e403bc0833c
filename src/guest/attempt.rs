//! A machine run until the guest in it has ended.

use std::io::Read;
use std::net::Shutdown;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::console::{Console, End};
use super::machine::{Halt, Ready, Run, Unwritable};
use crate::escape;
use crate::process::Watched;

/// How much of a machine's messages is kept, in bytes.
const TAIL: usize = 2048;

/// How long the end of a machine's messages may take when the machine is gone.
const LEFTOVERS: Duration = Duration::from_secs(2);

/// A guest that has ended, or was ended.
pub struct Ended {
    /// What it said.
    pub console: Console,
    /// How it ended.
    pub end: End,
    /// The name of the machine's program.
    pub machine: &'static str,
    /// What that said, safe to print.
    pub said: String,
    /// How long it ran.
    pub time: Duration,
    /// The error of those who gave it its disk.
    pub served: Result<()>,
    /// Why what it wrote could not be stored, if it could not.
    pub unwritable: Option<Unwritable>,
    /// Where the EFI variables are.
    pub efi_variables: Option<PathBuf>,
}

/// Starts `machine` for `run`, and ends it when the guest has ended, can't go on, or has no time left.
/// The guest may take `first` to begin, and the machine `off` to be switched off when it has ended.
///
/// # Errors
/// If the machine can't be started. What becomes of the guest is no error here.
pub fn attempt(machine: Ready<'_>, run: &Run<'_>, first: Duration, off: Duration) -> Result<Ended> {
    run.make_report()?;
    let (reader, writer) = std::io::pipe().context("making a pipe for the guest's console")?;
    let (errors, errors_end) = std::io::pipe()
        .with_context(|| format!("making a pipe for {}'s messages", machine.name))?;
    let mut command = machine.command;
    command
        .stdout(Stdio::from(writer))
        .stderr(Stdio::from(errors_end));
    let said = end_of(errors);
    let begin = Instant::now();
    let mut console = Console::new(reader, &run.job.token);
    let halt = Halt::new(console.stop(), run);
    let services = machine.services.into_iter();
    let (sockets, servers): (Vec<_>, Vec<_>) = services.map(|s| (s.socket, s.serve)).unzip();
    let (end, served) = thread::scope(|scope| {
        let threads = sockets.iter().zip(servers);
        let threads: Vec<_> = threads
            .map(|(socket, serve)| scope.spawn(|| serve(socket, &halt)))
            .collect();
        let end = follow(command, &mut console, first, run.machine.timeout, off);
        for socket in &sockets {
            // The machine is gone, but what it may have left must not keep those who wait for it.
            let _ = socket.shutdown(Shutdown::Both);
        }
        let ends = threads.into_iter().map(|thread| {
            let end = thread.join();
            end.unwrap_or_else(|_| Err(anyhow!("the guest's disk can't be served")))
        });
        // All of them are to be joined, whichever fails.
        let ends: Vec<Result<()>> = ends.collect();
        (end, ends.into_iter().collect())
    });
    let end = end?;
    console.finish();
    Ok(Ended {
        console,
        end,
        machine: machine.name,
        // Something that the machine started may have it, and go on.
        said: lines(&said.recv_timeout(LEFTOVERS).unwrap_or_default()),
        time: begin.elapsed(),
        served,
        unwritable: halt.into_unwritable(),
        efi_variables: machine.efi_variables,
    })
}

/// The end of what `stream` has, when it ends.
fn end_of(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody may want it any more.
        let _ = sender.send(tail(&mut stream));
    });
    receiver
}

/// The last [`TAIL`] bytes of `stream`.
fn tail(stream: &mut impl Read) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut buffer = [0; TAIL];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        tail.extend_from_slice(&buffer[..length]);
        tail.drain(..tail.len().saturating_sub(TAIL));
    }
    tail
}

/// Runs a machine by `command` until the guest has ended, or can't go on, or has no time left.
fn follow(
    mut command: Command,
    console: &mut Console,
    first: Duration,
    limit: Duration,
    off: Duration,
) -> Result<End> {
    let machine =
        Watched::start(&mut command).context("starting the guest that installs the boot loader")?;
    // The command holds the other ends, and neither console nor sockets would ever be closed.
    drop(command);
    let end = console.follow(first, limit);
    if matches!(end, End::Exit(_)) {
        // It powers off by itself; what it wrote is written.
        console.drain(off);
    }
    drop(machine);
    Ok(end)
}

fn lines(bytes: &[u8]) -> String {
    let lines = bytes.split(|&byte| byte == b'\n').map(escape::bytes);
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}
