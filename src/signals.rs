//! Signals that end us: clean up, end the children, and die of the signal all the same.

use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::{self, SigSet, Signal};
use nix::unistd::Pid;

use crate::{output, process, sys};

/// From now on SIGINT, SIGTERM and SIGHUP kill every child with its process group, remove what is
/// unfinished, and then end this process as they would have; where the output is whole already, it
/// ends by itself.
///
/// Call it on the main thread before any other thread starts: the signals are blocked in all
/// threads but the one that waits for them.
///
/// # Errors
/// Those of the system calls.
pub fn clean_up_on_signals() -> Result<()> {
    let mut set = SigSet::empty();
    for fatal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // One that is blocked could be waited for although it is ignored.
        if !sys::ignores(fatal) {
            set.add(fatal);
        }
    }
    set.thread_block().context("blocking signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let Ok(fatal) = set.wait() else { return };
            process::kill_all();
            if output::remove_unfinished() {
                let _ = set.thread_unblock();
                let _ = signal::kill(Pid::this(), fatal);
            }
        })
        .context("starting the thread that waits for signals")?;
    Ok(())
}

/// Returns unless a signal is ending this process, and then never: a status of our own would come
/// before the signal's, and before everything is cleaned up.
pub fn leave_the_end_to_a_signal() {
    while process::ending() && !output::kept() {
        thread::park();
    }
}
