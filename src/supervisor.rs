//! A build is two processes: a worker that does everything, and a supervisor that only waits.
//! However the worker ends (an error, a signal, the kernel's OOM killer), the supervisor kills the
//! processes that the worker has started, and removes the files that it has left.

mod ledger;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{ForkResult, Pid};

use self::ledger::Entries;
use crate::code::Code;
use crate::process::end;
use crate::{progress, sys};

pub(crate) use self::ledger::Ledger;

/// How long killed processes may take to exit: one that waits for a disk needs some time.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the log may take for the last line after a signal.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The role of this process after [`split`].
#[derive(Debug)]
pub enum Side {
    /// The process that waits.
    Supervisor(Supervisor),
    /// The process that works. It records what it creates.
    Worker(Ledger),
}

/// Splits this process in two. Call it before any other thread starts.
///
/// In the worker, fatal signals have their default action, except that exceeding the file size
/// limit (SIGXFSZ, `ulimit -f`) is an error of the write.
///
/// # Errors
/// Those of the system calls.
pub fn split() -> Result<Side> {
    let (ledger, entries) = ledger::open()?;
    // If it is ignored, a child that exits leaves no status.
    sys::set_default(libc::SIGCHLD);
    // Not those that stop a process, so that a user who stops the build in a terminal gets the
    // terminal back.
    sys::block(&awaited()).context("blocking signals")?;
    match sys::fork().context("starting the worker process")? {
        ForkResult::Parent { child } => Ok(Side::Supervisor(Supervisor {
            worker: child,
            entries,
        })),
        ForkResult::Child => {
            sys::survive_file_size_signal().context("handling SIGXFSZ")?;
            SigSet::all()
                .thread_unblock()
                .context("unblocking signals")?;
            Ok(Side::Worker(ledger))
        }
    }
}

/// The signals that the supervisor waits for.
fn awaited() -> Vec<c_int> {
    [&end::signals()[..], &[libc::SIGCHLD]].concat()
}

/// The process that waits.
#[derive(Debug)]
pub struct Supervisor {
    worker: Pid,
    entries: Entries,
}

/// The first event.
enum End {
    Worker(ExitStatus),
    Signal(c_int),
}

impl Supervisor {
    /// Waits until the worker exits, or this process receives a fatal signal. Then it kills
    /// everything that the worker has started, and removes everything but a complete output.
    ///
    /// Returns the status of the worker. A signal also terminates this process, but after the
    /// cleanup.
    pub fn run(self) -> ExitCode {
        progress::init();
        // When the worker is gone, its children become ours.
        let adopted = prctl::set_child_subreaper(true);
        let end = self.wait();
        // It may have exited already.
        let _ = kill(self.worker, Signal::SIGKILL);
        end_children();
        let complete = matches!(&end, End::Worker(status) if status.success());
        self.entries.remove(complete);
        if let Err(errno) = adopted {
            log::warn!("background processes of tools may be left running: {errno}");
        }
        finish(&end)
    }

    fn wait(&self) -> End {
        let awaited = awaited();
        loop {
            let signal = sys::wait_for_signal(&awaited).unwrap_or(libc::SIGTERM);
            // Check this first: a signal that arrives after the build is done has no effect.
            while let Ok(Some((child, status))) = sys::reap() {
                if child == self.worker {
                    return End::Worker(status);
                }
            }
            if signal != libc::SIGCHLD {
                return End::Signal(signal);
            }
        }
    }
}

/// Kills the children of this process, and their children as they become ours, until none is left.
fn end_children() {
    let begin = Instant::now();
    loop {
        match sys::reap() {
            Err(Errno::ECHILD) => return,
            Ok(Some(_)) => continue,
            Ok(None) | Err(_) => {}
        }
        if begin.elapsed() > PATIENCE {
            log::warn!("a process of the build was killed, but does not exit");
            return;
        }
        for child in children() {
            let _ = kill(child, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The children of this process, as listed in /proc.
fn children() -> Vec<Pid> {
    let own = nix::unistd::getpid().to_string();
    // If it was mounted in another PID namespace, it has other IDs for the same processes.
    if fs::read_link("/proc/self").is_ok_and(|id| id.as_os_str() != own.as_str()) {
        return Vec::new();
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_child = |id: &i32| {
        let stat = fs::read(format!("/proc/{id}/stat")).unwrap_or_default();
        // "id (name) state parent ...", where the name may contain anything (proc(5)).
        let text = String::from_utf8_lossy(&stat);
        let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().nth(1) == Some(&own)
    };
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_child)
        .map(Pid::from_raw)
        .collect()
}

/// Reports the signal that terminated the build, if any, and exits in the same way as the worker.
fn finish(end: &End) -> ExitCode {
    let signal = match end {
        End::Signal(signal) => *signal,
        End::Worker(status) => match (status.code(), status.signal()) {
            (Some(code), _) => return ExitCode::from(u8::try_from(code).unwrap_or(1)),
            (None, signal) => signal.unwrap_or(libc::SIGKILL),
        },
    };
    progress::error(Code::Terminated, end::of_build(signal));
    progress::flush(LAST_WORD);
    // A signal that means a fault of the worker does not terminate this process, too.
    let sent = matches!(end, End::Signal(_)) || !end::is_fault(signal);
    if sent {
        sys::die_of(signal);
        // The status that a shell returns.
        return ExitCode::from(u8::try_from(signal.saturating_add(128)).unwrap_or(1));
    }
    ExitCode::FAILURE
}
