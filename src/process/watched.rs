//! A running child.

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
use crate::code::{Code, WithCode};
use crate::sys;

/// A running child. When this is dropped, the child and its process group are killed.
pub(crate) struct Watched {
    child: Child,
    /// Its own process group, so that its children can be killed with it.
    group: Pid,
    stopped: bool,
}

impl Watched {
    /// Starts `command`, whose streams the caller has to set. The calling thread must outlive the
    /// child.
    ///
    /// # Errors
    /// If it cannot be started. The error has its command line.
    pub(crate) fn start(command: &mut Command) -> Result<Watched> {
        log::debug!("running {}", message::command_line(command));
        let child = sys::die_with_parent(command)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", message::command_line(command)))
            .code(Code::Tool)?;
        let id = i32::try_from(child.id()).context("a child has no process ID")?;
        Ok(Watched {
            child,
            group: Pid::from_raw(id),
            stopped: false,
        })
    }

    /// Returns a stream that is closed when the child exits. The child still has to be waited for.
    pub(super) fn end(&self) -> Result<PipeReader> {
        let (reader, writer) = io::pipe().context("creating a pipe")?;
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

    /// Kills the rest of its process group, and waits for the child.
    pub(super) fn stop(&mut self) -> io::Result<ExitStatus> {
        // Until the child is waited for, its ID is not reused. The group may be gone.
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
