//! The output of a running child.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::progress;

/// How much of a child's output is kept for an error, in bytes.
const TAIL: usize = 2048;

/// The most bytes that are read after a child's exit, in case a process that has left its group
/// keeps writing. A pipe cannot hold more of the child's own output (pipe(7)).
const DRAIN: usize = 1 << 20;

/// The output of a child.
pub(super) struct Output {
    /// `None` after its end.
    pipe: Option<PipeReader>,
    echo: bool,
    /// Its last [`TAIL`] bytes.
    tail: Vec<u8>,
}

impl Output {
    /// Creates the output that is read from `pipe`. With `echo`, it also goes to the log.
    pub(super) fn new(pipe: PipeReader, echo: bool) -> Output {
        Output {
            pipe: Some(pipe),
            echo,
            tail: Vec::new(),
        }
    }

    /// Reads until `end` is closed; returns false if that takes longer than `limit`.
    pub(super) fn follow(&mut self, end: &PipeReader, limit: Option<Duration>) -> Result<bool> {
        let begin = Instant::now();
        loop {
            let left = limit.map(|limit| limit.saturating_sub(begin.elapsed()));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            let mut streams = vec![PollFd::new(end.as_fd(), PollFlags::POLLIN)];
            streams.extend(self.pipe.iter().map(readable));
            wait(&mut streams, left)?;
            let is_ready = |stream: Option<&PollFd<'_>>| stream.is_some_and(has_event);
            let (ended, has_output) = (is_ready(streams.first()), is_ready(streams.get(1)));
            if has_output {
                self.read();
            }
            if ended {
                return Ok(true);
            }
        }
    }

    /// Reads what is available without waiting.
    pub(super) fn drain(&mut self) -> Result<()> {
        let mut drained = 0;
        while let Some(pipe) = &self.pipe
            && drained < DRAIN
        {
            let mut streams = [readable(pipe)];
            wait(&mut streams, Some(Duration::ZERO))?;
            if !has_event(&streams[0]) {
                break;
            }
            drained += self.read();
        }
        Ok(())
    }

    /// The last bytes of the output.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Reads once, and returns the number of bytes.
    fn read(&mut self) -> usize {
        let mut buffer = [0; 8192];
        let Some(pipe) = &mut self.pipe else { return 0 };
        match pipe.read(&mut buffer) {
            Ok(length @ 1..) => {
                let piece = &buffer[..length];
                if self.echo {
                    progress::echo(piece);
                }
                self.tail.extend_from_slice(piece);
                let surplus = self.tail.len().saturating_sub(TAIL);
                self.tail.drain(..surplus);
                return length;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => self.pipe = None,
        }
        0
    }
}

fn readable(pipe: &PipeReader) -> PollFd<'_> {
    PollFd::new(pipe.as_fd(), PollFlags::POLLIN)
}

fn has_event(stream: &PollFd<'_>) -> bool {
    stream.any().unwrap_or(true)
}

/// Waits for one of `streams`, for at most `limit`.
fn wait(streams: &mut [PollFd<'_>], limit: Option<Duration>) -> Result<()> {
    let limit = match limit {
        None => PollTimeout::NONE,
        Some(Duration::ZERO) => PollTimeout::ZERO,
        // Rounded up.
        Some(limit) => PollTimeout::try_from(limit.saturating_add(Duration::from_millis(1)))
            .unwrap_or(PollTimeout::MAX),
    };
    match poll(streams, limit) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno).context("waiting for a child's output"),
    }
}
