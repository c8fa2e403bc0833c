//! What of a guest's console goes to the log.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// How much that is at most, in bytes: what a person reads.
const MOST: usize = 1 << 20;

/// How long a log may take to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lines on their way to the log, by a thread of their own: a log that nobody reads must not keep
/// the guest from its limit.
pub struct Echo {
    /// It never waits. All that is ever in it is [`MOST`] bytes.
    to: Option<Sender<String>>,
    /// Closed when the log has everything.
    written: Receiver<()>,
    /// Bytes that may still come.
    left: usize,
    /// Lines and bytes that came after them.
    omitted: (u64, u64),
}

impl Echo {
    /// Nothing yet.
    pub fn new() -> Echo {
        let (to, lines) = mpsc::channel::<String>();
        let (writing, written) = mpsc::channel();
        thread::spawn(move || {
            for line in lines {
                log::info!("{line}");
            }
            drop(writing);
        });
        Echo {
            to: Some(to),
            written,
            left: MOST,
            omitted: (0, 0),
        }
    }

    /// One more line, unless there were too many.
    pub fn line(&mut self, line: &str) {
        match self.left.checked_sub(line.len()) {
            Some(left) if self.omitted.0 == 0 => {
                self.left = left;
                self.send(line.to_owned());
            }
            _ => {
                if self.omitted.0 == 0 {
                    self.send(format!(
                        "guest: it says more than the {MOST} bytes that go to the log"
                    ));
                }
                self.omitted.0 += 1;
                // usize to u64: lossless on every target Rust has.
                self.omitted.1 = self.omitted.1.saturating_add(line.len() as u64);
            }
        }
    }

    /// Says how much was left out, and waits until the log has everything, but not for ever.
    pub fn finish(&mut self) {
        if let (lines @ 1.., bytes) = self.omitted {
            self.send(format!(
                "guest: {lines} lines of it, {bytes} bytes, are not in the log"
            ));
        }
        self.to = None;
        // It is closed, or it is not and the log is not read.
        let _ = self.written.recv_timeout(PATIENCE);
    }

    fn send(&self, line: String) {
        if let Some(to) = &self.to {
            // The thread ends after us.
            let _ = to.send(line);
        }
    }
}
