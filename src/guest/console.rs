//! The guest's serial console: read as it comes, for a bounded time and in bounded memory.

mod echo;
mod said;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use self::echo::Echo;
use self::said::Said;
use super::marker::Marker;
use crate::escape;

/// Lines longer than this are broken, in bytes.
const LONGEST: usize = 4096;

/// How many pieces of [`PIECE`] bytes may wait to be looked at. QEMU waits when there are more.
const WAITING: usize = 16;
const PIECE: usize = 4096;

/// How a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Init gave this exit status.
    Exit(i32),
    /// The console closed without: QEMU ended.
    Closed,
    /// It did not begin in time.
    NotStarted,
    /// It did not end in time.
    Late,
    /// It was told that it can't go on.
    Stopped,
}

/// What happens while a guest runs.
enum Event {
    Said(Vec<u8>),
    Closed,
    Stopped,
}

/// Tells a [`Console`] that its guest can't go on.
#[derive(Clone)]
pub struct Stop {
    told: Arc<AtomicBool>,
    events: SyncSender<Event>,
}

impl Stop {
    /// Nothing more is read then.
    pub fn stop(&self) {
        self.told.store(true, Ordering::Relaxed);
        // Who has so much to read that there is no place for this looks at the other before.
        let _ = self.events.try_send(Event::Stopped);
    }
}

/// What a guest says.
pub struct Console {
    events: Receiver<Event>,
    stop: Stop,
    begin: Instant,
    token: String,
    line: Vec<u8>,
    said: Said,
    echo: Echo,
    started: bool,
    /// What init gave as its reason to fail.
    pub failure: Option<String>,
}

impl Console {
    /// Reads `stream` from now on: the guest is about to start, and its init knows `token`.
    pub fn new(mut stream: impl Read + Send + 'static, token: &str) -> Console {
        let (sender, events) = mpsc::sync_channel(WAITING);
        let to = sender.clone();
        // It ends with the stream, which ends with the guest.
        thread::spawn(move || {
            let mut buffer = [0; PIECE];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if to.send(Event::Said(buffer[..length].to_vec())).is_err() {
                    return;
                }
            }
            // Nobody may listen any more.
            let _ = to.send(Event::Closed);
        });
        Console {
            events,
            stop: Stop {
                told: Arc::default(),
                events: sender,
            },
            begin: Instant::now(),
            token: token.to_owned(),
            line: Vec::new(),
            said: Said::default(),
            echo: Echo::new(),
            started: false,
            failure: None,
        }
    }

    /// What another thread stops it with.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Reads until init has ended, but at most for `limit` since it was made, and for `first` until
    /// init begins. What the guest's programs say goes to the log, the beginning of it at least.
    pub fn follow(&mut self, first: Duration, limit: Duration) -> End {
        loop {
            let limit = if self.started {
                limit
            } else {
                limit.min(first)
            };
            let left = limit.saturating_sub(self.begin.elapsed());
            // Before what there is to read, or a guest that never stops talking would never end.
            if self.stop.told.load(Ordering::Relaxed) {
                return End::Stopped;
            }
            if left.is_zero() {
                return self.late();
            }
            match self.events.recv_timeout(left) {
                Ok(Event::Said(piece)) => {
                    if let Some(status) = self.take(&piece) {
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

    /// Reads on until the console closes, but at most for `limit`.
    pub fn drain(&mut self, limit: Duration) {
        let begin = Instant::now();
        loop {
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() || !matches!(self.events.recv_timeout(left), Ok(Event::Said(_))) {
                return;
            }
        }
    }

    /// Tells the log what it does not have.
    pub fn finish(&self) {
        self.echo.finish();
    }

    /// Whether init has begun.
    pub fn started(&self) -> bool {
        self.started
    }

    /// What was said that is a sign of something.
    pub fn said(&self) -> &Said {
        &self.said
    }

    fn take(&mut self, piece: &[u8]) -> Option<i32> {
        for &byte in piece {
            if byte == b'\n' || self.line.len() == LONGEST {
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
                    .line(&format!("  the guest's init ran after {seconds:.2} s"));
            }
            Some(Marker::Failed(reason)) => self.failure = Some(reason),
            Some(Marker::Exit(status)) => return Some(status),
            None => {
                if self.started && !is_kernels(&text) {
                    self.echo.line(&format!("guest: {text}"));
                }
                self.said.line(text);
            }
        }
        None
    }
}

/// Whether a line is the kernel's: it begins with seconds in brackets.
fn is_kernels(line: &str) -> bool {
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .is_some_and(|(time, _)| time.trim_start().parse::<f64>().is_ok())
}
