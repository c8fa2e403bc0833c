//! A child that runs, and its end.

use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::thread;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::message;
use crate::sys;

/// A child that runs. Dropped, it is killed with whatever it has started.
pub(crate) struct Watched {
    child: Child,
    /// A group of its own, so that its own children can be ended with it.
    group: Pid,
    stopped: bool,
}

impl Watched {
    /// Starts `command`, whose streams are the caller's to set. Start it on a thread that outlives
    /// it.
    ///
    /// # Errors
    /// If it can't be started: with its name.
    pub(crate) fn start(command: &mut Command) -> Result<Watched> {
        let child = sys::die_with_parent(command)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", message::command_line(command)))?;
        let id = i32::try_from(child.id()).context("a child has no process ID")?;
        Ok(Watched {
            child,
            group: Pid::from_raw(id),
            stopped: false,
        })
    }

    /// A stream that is closed when the child has ended, which is then still there to be waited for.
    pub(super) fn end(&self) -> Result<PipeReader> {
        let (reader, writer) = io::pipe().context("making a pipe")?;
        let child = self.group;
        thread::Builder::new()
            .name("wait".to_owned())
            .spawn(move || {
                let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
                while waitid(Id::Pid(child), flags) == Err(Errno::EINTR) {}
                drop(writer);
            })
            .context("starting a thread that waits for a child")?;
        Ok(reader)
    }

    /// Kills what is left of its group, and waits for it.
    pub(super) fn stop(&mut self) -> io::Result<ExitStatus> {
        // Until it is waited for, its number is no one else's. The group may be gone.
        let _ = killpg(self.group, Signal::SIGKILL);
        self.stopped = true;
        self.child.wait()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.stopped {
            let _ = self.stop();
        }
    }
}
