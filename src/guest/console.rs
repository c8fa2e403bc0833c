//! The guest's serial console: read as it comes, for a bounded time.

use std::io::Read;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::escape;

/// The line with which init begins its work.
pub const STARTED: &str = "MAKE-DISK-IMAGE started";

/// The line with which init ends; its exit status comes after it.
pub const EXIT: &str = "MAKE-DISK-IMAGE exit ";

/// What comes before the reason of a failure.
pub const FAILED: &str = "MAKE-DISK-IMAGE failed: ";

/// How many lines of the console an error has.
const TAIL: usize = 15;

/// Lines longer than this are broken, in bytes.
const LONGEST: usize = 4096;

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
pub struct Stop(Sender<Event>);

impl Stop {
    /// Nothing more is read then.
    pub fn stop(&self) {
        // It may have come to its end.
        let _ = self.0.send(Event::Stopped);
    }
}

/// What a guest says.
pub struct Console {
    events: Receiver<Event>,
    sender: Sender<Event>,
    begin: Instant,
    line: Vec<u8>,
    lines: Vec<String>,
    started: bool,
    /// What init gave as its reason to fail.
    pub failure: Option<String>,
}

impl Console {
    /// Reads `stream` from now on: the guest is about to start.
    pub fn new(mut stream: impl Read + Send + 'static) -> Console {
        let (sender, events) = mpsc::channel();
        let to = sender.clone();
        // It ends with the stream, which ends with the guest.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
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
            sender,
            begin: Instant::now(),
            line: Vec::new(),
            lines: Vec::new(),
            started: false,
            failure: None,
        }
    }

    /// What another thread stops it with.
    pub fn stop(&self) -> Stop {
        Stop(self.sender.clone())
    }

    /// Reads until init has ended, but at most for `limit` since it was made, and for `first` until
    /// init begins. What the guest's programs say goes to the log.
    pub fn follow(&mut self, first: Duration, limit: Duration) -> End {
        loop {
            let limit = if self.started {
                limit
            } else {
                limit.min(first)
            };
            let left = limit.saturating_sub(self.begin.elapsed());
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
                Err(_) if self.started => return End::Late,
                Err(_) => return End::NotStarted,
            }
        }
    }

    /// Reads on until the console closes, but at most for `limit`.
    pub fn drain(&mut self, limit: Duration) {
        let begin = Instant::now();
        while let Ok(Event::Said(_)) = self
            .events
            .recv_timeout(limit.saturating_sub(begin.elapsed()))
        {}
    }

    /// Whether init has begun.
    pub fn started(&self) -> bool {
        self.started
    }

    /// Whether a line of the console has `text` in it.
    pub fn has(&self, text: &str) -> bool {
        self.after(text).is_some()
    }

    /// What the first line that has `text` in it has after that.
    pub fn after(&self, text: &str) -> Option<&str> {
        let mut lines = self.lines.iter();
        lines.find_map(|line| Some(line.split_once(text)?.1))
    }

    /// The last lines, indented.
    pub fn tail(&self) -> String {
        let lines = &self.lines[self.lines.len().saturating_sub(TAIL)..];
        if lines.is_empty() {
            return "its console had nothing".to_owned();
        }
        format!("its console ended:\n  {}", lines.join("\n  "))
    }

    fn take(&mut self, piece: &[u8]) -> Option<i32> {
        for &byte in piece {
            if byte != b'\n' && self.line.len() < LONGEST {
                self.line.push(byte);
            } else if let Some(status) = self.end_line() {
                return Some(status);
            }
        }
        None
    }

    fn end_line(&mut self) -> Option<i32> {
        let bytes = std::mem::take(&mut self.line);
        let text = escape::bytes(bytes.trim_ascii());
        if text.is_empty() {
            return None;
        }
        if text == STARTED {
            self.started = true;
            let seconds = self.begin.elapsed().as_secs_f64();
            log::info!("  the guest's init ran after {seconds:.2} s");
            return None;
        }
        if let Some(status) = text.strip_prefix(EXIT) {
            return status.parse().ok();
        }
        if let Some(reason) = text.strip_prefix(FAILED) {
            self.failure = Some(reason.to_owned());
            return None;
        }
        if self.started && !is_kernels(&text) {
            log::info!("guest: {text}");
        }
        self.lines.push(text);
        None
    }
}

/// Whether a line is the kernel's: it begins with seconds in brackets.
fn is_kernels(line: &str) -> bool {
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .is_some_and(|(time, _)| time.trim_start().parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, pipe};

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn init_says_how_it_ended() {
        let text = format!(
            "[    0.5] boot\r\n{STARTED}\r\nhello\r\nno newline\n{FAILED}the script: 3\r\n{EXIT}3\r\nmore"
        );
        let mut console = Console::new(Cursor::new(text.into_bytes()));
        assert_eq!(console.follow(LONG, LONG), End::Exit(3));
        assert_eq!(console.failure.as_deref(), Some("the script: 3"));
        assert_eq!(
            console.tail(),
            "its console ended:\n  [    0.5] boot\n  hello\n  no newline"
        );
    }

    #[test]
    fn a_guest_that_ends_or_hangs_is_noticed() {
        let mut console = Console::new(Cursor::new(b"Kernel panic - a\x1b".to_vec()));
        assert_eq!(console.follow(LONG, LONG), End::Closed);
        assert!(console.has("Kernel panic"));
        assert!(console.tail().ends_with("Kernel panic - a\\u{1b}"));

        let (reader, _writer) = pipe().unwrap();
        let mut console = Console::new(reader);
        assert_eq!(console.follow(SHORT, LONG), End::NotStarted);
        assert_eq!(console.tail(), "its console had nothing");

        let (reader, mut writer) = pipe().unwrap();
        let mut console = Console::new(reader);
        std::io::Write::write_all(&mut writer, format!("{STARTED}\n").as_bytes()).unwrap();
        assert_eq!(console.follow(LONG, Duration::from_millis(300)), End::Late);
        assert!(console.started());
    }

    #[test]
    fn lines_of_the_kernel_are_known() {
        for (line, kernels) in [
            ("[    1.234567] x", true),
            ("[12.3] x", true),
            ("[x] 1", false),
            ("1.2", false),
        ] {
            assert_eq!(is_kernels(line), kernels, "{line}");
        }
    }
}
