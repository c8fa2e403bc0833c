//! A build is two processes: a worker that does everything, and a supervisor that does nothing but
//! wait. However the worker ends, by an error, a signal or the kernel's want of memory, the supervisor
//! ends what it has started and removes what it has left.

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
use crate::process::end;
use crate::{progress, sys};

pub(crate) use self::ledger::Ledger;

/// How long processes that are killed may take to go: one that waits for a disk takes its time.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the log may take for the last line after a signal.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The process that this one is after [`split`].
#[derive(Debug)]
pub enum Side {
    /// The one that waits.
    Supervisor(Supervisor),
    /// The one that works; it writes down what it makes.
    Worker(Ledger),
}

/// Splits this process in two. Call it before any other thread starts.
///
/// In the worker, a signal that ends a process ends it by its default action; but a file that may not
/// grow (SIGXFSZ, `ulimit -f`) is an error of the write.
///
/// # Errors
/// Those of the system calls.
pub fn split() -> Result<Side> {
    let (ledger, entries) = ledger::open()?;
    // Where it is ignored, a child that ends leaves no status.
    sys::set_default(libc::SIGCHLD);
    // Not those that stop a process: who stops the build from a terminal has the terminal again.
    sys::block(&awaited()).context("blocking signals")?;
    match sys::fork().context("starting the process that builds")? {
        ForkResult::Parent { child } => Ok(Side::Supervisor(Supervisor {
            worker: child,
            entries,
        })),
        ForkResult::Child => {
            sys::survive_file_size_signal().context("catching a signal")?;
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

/// What happened first.
enum End {
    Worker(ExitStatus),
    Signal(c_int),
}

impl Supervisor {
    /// Waits until the worker ends, or a signal comes that ends this process; then ends all that it
    /// has started, and removes all but an output that is whole.
    ///
    /// The status is the worker's. A signal ends this process, too, but after that.
    pub fn run(self) -> ExitCode {
        progress::init();
        // What the worker has started is ours when it is gone.
        let adopted = prctl::set_child_subreaper(true);
        let end = self.wait();
        // It may have ended already.
        let _ = kill(self.worker, Signal::SIGKILL);
        end_children();
        let whole = matches!(&end, End::Worker(status) if status.success());
        self.entries.remove(whole);
        if let Err(errno) = adopted {
            log::warn!("what tools have started in the background may be left: {errno}");
        }
        finish(&end)
    }

    fn wait(&self) -> End {
        let awaited = awaited();
        loop {
            let signal = sys::wait_for_signal(&awaited).unwrap_or(libc::SIGTERM);
            // First of all: a signal that comes when the build is done comes too late.
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

/// Kills the children of this process, and theirs as they become ours, until none is left.
fn end_children() {
    let begin = Instant::now();
    loop {
        match sys::reap() {
            Err(Errno::ECHILD) => return,
            Ok(Some(_)) => continue,
            Ok(None) | Err(_) => {}
        }
        if begin.elapsed() > PATIENCE {
            log::warn!("a process of the build does not end though it was killed");
            return;
        }
        for child in children() {
            let _ = kill(child, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The children of this process, as far as /proc tells.
fn children() -> Vec<Pid> {
    let own = nix::unistd::getpid().to_string();
    // Mounted in another PID namespace, it has other numbers for the same processes.
    if fs::read_link("/proc/self").is_ok_and(|id| id.as_os_str() != own.as_str()) {
        return Vec::new();
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_child = |id: &i32| {
        let stat = fs::read(format!("/proc/{id}/stat")).unwrap_or_default();
        // "id (name) state parent ...", where the name may hold anything (proc(5)).
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

/// Says what ended the build if nobody did yet, and ends as it did.
fn finish(end: &End) -> ExitCode {
    let signal = match end {
        End::Signal(signal) => *signal,
        End::Worker(status) => match (status.code(), status.signal()) {
            (Some(code), _) => return ExitCode::from(u8::try_from(code).unwrap_or(1)),
            (None, signal) => signal.unwrap_or(libc::SIGKILL),
        },
    };
    log::error!("{}", end::of_build(signal));
    progress::flush(LAST_WORD);
    // One that nobody sends is a fault of the worker's, or of the kernel's, and we have none.
    let sent = matches!(end, End::Signal(_)) || !end::is_fault(signal);
    if sent {
        sys::die_of(signal);
        // As a shell has it.
        return ExitCode::from(u8::try_from(signal.saturating_add(128)).unwrap_or(1));
    }
    ExitCode::FAILURE
}
