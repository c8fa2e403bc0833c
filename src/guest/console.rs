//! The guest's serial console, read while the guest runs, for a bounded time and in bounded memory.

mod echo;
mod history;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use self::echo::Echo;
use self::history::History;
use super::marker::Marker;
use crate::escape;

/// The longest line, in bytes. Longer ones are broken into several.
const MAX_LINE: usize = 4096;

/// How many chunks of [`CHUNK`] bytes are queued. If the queue is full, the machine waits.
const QUEUE: usize = 16;
const CHUNK: usize = 4096;

/// How a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Init reported this exit status.
    Exit(i32),
    /// The console closed before init reported an exit status: the machine ended.
    Closed,
    /// Init did not start in time.
    NotStarted,
    /// Init did not finish in time.
    Late,
    /// A [`Stop`] was used: the guest could not continue.
    Stopped,
}

/// What the console waits for.
enum Event {
    Output(Vec<u8>),
    Closed,
    Stopped,
}

/// Tells a [`Console`] that its guest cannot continue.
#[derive(Clone)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    events: SyncSender<Event>,
}

impl Stop {
    /// Makes the console stop reading.
    pub fn stop(&self) {
        self.requested.store(true, Ordering::Relaxed);
        // The event wakes a console that waits. If the queue is full, it does not wait, and it checks
        // the flag before it reads on.
        let _ = self.events.try_send(Event::Stopped);
    }
}

/// The output of a guest.
pub struct Console {
    events: Receiver<Event>,
    stop: Stop,
    begin: Instant,
    token: String,
    line: Vec<u8>,
    history: History,
    echo: Echo,
    started: bool,
    /// The reason of a failure, as reported by init.
    pub failure: Option<String>,
}

impl Console {
    /// Starts to read `stream`. `token` is what init's own lines contain. The time limits start here.
    pub fn new(mut stream: impl Read + Send + 'static, token: &str) -> Console {
        let (sender, events) = mpsc::sync_channel(QUEUE);
        let to = sender.clone();
        // The thread ends with the stream, and the stream with the guest.
        thread::spawn(move || {
            let mut buffer = [0; CHUNK];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if to.send(Event::Output(buffer[..length].to_vec())).is_err() {
                    return;
                }
            }
            // The console may have been dropped.
            let _ = to.send(Event::Closed);
        });
        Console {
            events,
            stop: Stop {
                requested: Arc::default(),
                events: sender,
            },
            begin: Instant::now(),
            token: token.to_owned(),
            line: Vec::new(),
            history: History::default(),
            echo: Echo::new(),
            started: false,
            failure: None,
        }
    }

    /// Returns a handle with which another thread stops this console.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Reads until init has ended. The time limits count from [`Console::new`]: `first` until init
    /// starts, and `limit` until it ends. The output of the guest's programs is logged, up to a limit.
    pub fn follow(&mut self, first: Duration, limit: Duration) -> End {
        loop {
            let limit = if self.started {
                limit
            } else {
                limit.min(first)
            };
            let left = limit.saturating_sub(self.begin.elapsed());
            // Checked before reading: a guest that never stops printing must be stopped, too.
            if self.stop.requested.load(Ordering::Relaxed) {
                return End::Stopped;
            }
            if left.is_zero() {
                return self.late();
            }
            match self.events.recv_timeout(left) {
                Ok(Event::Output(bytes)) => {
                    if let Some(status) = self.take(&bytes) {
                        return End::Exit(status);
                    }
                }
                Ok(Event::Closed) => {
                    self.end_line();
                    return End::Closed;
                }
                Ok(Event::Stopped) => return End::Stopped,
                Err(_) => return self.late(),
            }
        }
    }

    fn late(&self) -> End {
        match self.started {
            true => End::Late,
            false => End::NotStarted,
        }
    }

    /// Discards output until the console closes, but at most for `limit`.
    pub fn drain(&mut self, limit: Duration) {
        let begin = Instant::now();
        loop {
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() || !matches!(self.events.recv_timeout(left), Ok(Event::Output(_))) {
                return;
            }
        }
    }

    /// Logs how much output was left out of the log.
    pub fn finish(&self) {
        self.echo.finish();
    }

    /// Returns whether init has started.
    pub fn started(&self) -> bool {
        self.started
    }

    /// Returns the last lines and the signs of a failure.
    pub fn history(&self) -> &History {
        &self.history
    }

    fn take(&mut self, bytes: &[u8]) -> Option<i32> {
        for &byte in bytes {
            if byte == b'\n' || self.line.len() == MAX_LINE {
                let status = self.end_line();
                if status.is_some() {
                    return status;
                }
            }
            if byte != b'\n' {
                self.line.push(byte);
            }
        }
        None
    }

    fn end_line(&mut self) -> Option<i32> {
        let text = escape::bytes(self.line.trim_ascii());
        self.line.clear();
        if text.is_empty() {
            return None;
        }
        match Marker::of(&text, &self.token) {
            Some(Marker::Started) => {
                self.started = true;
                let seconds = self.begin.elapsed().as_secs_f64();
                self.echo
                    .line(&format!("  the guest's init started after {seconds:.2} s"));
            }
            Some(Marker::Failed(reason)) => self.failure = Some(reason),
            Some(Marker::Exit(status)) => return Some(status),
            None => {
                if self.started && !is_kernel_message(&text) {
                    self.echo.line(&format!("guest: {text}"));
                }
                self.history.line(text);
            }
        }
        None
    }
}

/// Returns whether a line is a kernel message: one that begins with seconds in brackets.
fn is_kernel_message(line: &str) -> bool {
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .is_some_and(|(time, _)| time.trim_start().parse::<f64>().is_ok())
}
