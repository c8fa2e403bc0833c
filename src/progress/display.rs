//! The last line of a terminal: how far the current step is.
//!
//! A thread of its own draws it, once a step has taken a second. The thread that writes the log
//! removes it before each piece, so the two are never mixed. No other thread waits for the terminal.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{
    HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState,
    ProgressStyle,
};

/// How long a step may take before it is shown.
const DELAY: Duration = Duration::from_secs(1);

/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(100);

/// For a step whose length is known.
const BAR: &str = "  {wide_bar} {bytes} of {total_bytes}{rate}";

/// For a step whose length is not known.
const SPINNER: &str = "  {spinner} {elapsed}{moved}{limit}";

/// How long a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Nobody knows.
    Unknown,
    /// At most this long.
    AtMost(Duration),
    /// This many bytes, of which the step reports how many are done.
    Bytes(u64),
    /// About this many bytes of files, which are read and counted with [`moved`]; 0 if it is not known.
    Reading(u64),
}

/// The number of bytes that all steps have read from files and from disks that they serve.
static MOVED: AtomicU64 = AtomicU64::new(0);

/// What is on the terminal.
static TERMINAL: Mutex<Terminal> = Mutex::new(Terminal {
    lines: None,
    in_line: false,
});

struct Terminal {
    /// The line, if it is drawn.
    lines: Option<MultiProgress>,
    /// Whether the last piece of the log did not end its line, which must not be overwritten.
    in_line: bool,
}

impl Terminal {
    /// Removes the line.
    fn clear(&mut self) {
        if let Some(lines) = self.lines.take() {
            // A terminal that cannot be written must not stop the build.
            let _ = lines.clear();
        }
    }
}

fn terminal() -> MutexGuard<'static, Terminal> {
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts bytes that the current step has read.
pub fn moved(bytes: usize) {
    // usize to u64: lossless on every target Rust has.
    MOVED.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// Removes the line, and writes a piece of the log with `write`.
pub fn write<T>(piece: &[u8], write: impl FnOnce() -> T) -> T {
    let mut terminal = terminal();
    terminal.clear();
    terminal.in_line = !piece.ends_with(b"\n");
    write()
}

/// The display of a step. Dropping it ends the display.
pub struct Display {
    step: Arc<Step>,
}

struct Step {
    start: Instant,
    length: Length,
    /// [`MOVED`] at the start.
    moved: u64,
    done: AtomicU64,
    ended: AtomicBool,
}

impl Display {
    /// Starts the display of a step.
    pub fn start(length: Length) -> Display {
        let step = Arc::new(Step {
            start: Instant::now(),
            length,
            moved: MOVED.load(Ordering::Relaxed),
            done: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let shown = step.clone();
        // Without the thread, nothing is shown.
        let _ = thread::Builder::new()
            .name("display".to_owned())
            .spawn(move || shown.show());
        Display { step }
    }

    /// Sets how many bytes are done.
    pub fn set_done(&self, bytes: u64) {
        self.step.done.store(bytes, Ordering::Relaxed);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.step.ended.store(true, Ordering::Relaxed);
        // It waits only as long as drawing takes: a terminal may be stopped. Then the next piece of the
        // log removes the line.
        for _ in 0..10 {
            if let Ok(mut terminal) = TERMINAL.try_lock() {
                terminal.clear();
                return;
            }
            thread::sleep(INTERVAL / 20);
        }
    }
}

impl Step {
    fn show(self: Arc<Step>) {
        while self.start.elapsed() < DELAY {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(INTERVAL);
        }
        let bar = ProgressBar::hidden();
        let total = match self.length {
            Length::Bytes(total) | Length::Reading(total) => total,
            Length::Unknown | Length::AtMost(_) => 0,
        };
        bar.set_length(total);
        bar.set_style(self.clone().style(total));
        loop {
            bar.set_position(match self.length {
                // More than expected is not more than all.
                Length::Reading(total) => self.read().min(total),
                _ => self.done.load(Ordering::Relaxed),
            });
            let mut terminal = terminal();
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            if !terminal.in_line {
                terminal.lines.get_or_insert_with(|| {
                    let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
                    lines.add(bar.clone());
                    lines
                });
                bar.tick();
            }
            drop(terminal);
            thread::sleep(INTERVAL);
        }
    }

    fn style(self: Arc<Step>, total: u64) -> ProgressStyle {
        let template = if total > 0 { BAR } else { SPINNER };
        let (moved, length) = (self.clone(), self.length);
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key(
                "moved",
                move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                    // Writing to a line in memory does not fail.
                    let _ = out.write_str(&moved.bytes());
                },
            )
            .with_key("rate", {
                let start = self.start;
                move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let total = state.len().unwrap_or_default();
                    let _ = out.write_str(&rate(state.pos(), total, start.elapsed()));
                }
            })
            .with_key(
                "limit",
                move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                    if let Length::AtMost(limit) = length {
                        let _ = write!(out, ", at most {:#}", HumanDuration(limit));
                    }
                },
            )
            .with_key("elapsed", {
                let start = self.start;
                move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{} s", start.elapsed().as_secs());
                }
            })
    }

    /// How many bytes the step has read.
    fn read(&self) -> u64 {
        MOVED.load(Ordering::Relaxed).saturating_sub(self.moved)
    }

    /// `, 34.00 MiB read, 5.00 MiB/s`, or nothing.
    fn bytes(&self) -> String {
        let read = self.read();
        let mut text = String::new();
        if read > 0 {
            let seconds = self.start.elapsed().as_secs().max(1);
            let _ = write!(
                text,
                ", {} read, {}/s",
                HumanBytes(read),
                HumanBytes(read / seconds)
            );
        }
        text
    }
}

/// `, 5.00 MiB/s, 12s left` for `done` of `total` bytes, or nothing as long as nothing is done. The rate
/// is that since the start of the step, which a bar that appears later does not know.
fn rate(done: u64, total: u64, elapsed: Duration) -> String {
    let millis = elapsed.as_millis().max(1);
    let rate = u128::from(done) * 1000 / millis;
    let rest = u128::from(total.saturating_sub(done));
    let left = millis.saturating_mul(rest) / u128::from(done.max(1)) / 1000;
    let number = |it: u128| u64::try_from(it).unwrap_or(u64::MAX);
    match done {
        0 => String::new(),
        _ => format!(
            ", {}/s, {:#} left",
            HumanBytes(number(rate)),
            HumanDuration(Duration::from_secs(number(left)))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_unknown_length_shows_what_it_has_read() {
        let display = Display::start(Length::Unknown);
        assert_eq!(display.step.bytes(), "");
        moved(3 << 20);
        let text = display.step.bytes();
        assert!(text.ends_with(" MiB read, 3.00 MiB/s"), "{text}");
    }

    #[test]
    fn the_rate_is_that_since_the_start() {
        let two = Duration::from_secs(2);
        assert_eq!(rate(2 << 20, 10 << 20, two), ", 1.00 MiB/s, 8s left");
        assert_eq!(rate(10 << 20, 10 << 20, two), ", 5.00 MiB/s, 0s left");
        assert_eq!(rate(0, 10 << 20, two), "");
        // As long as it can be shown.
        assert!(rate(1, u64::MAX, Duration::from_secs(u64::MAX)).ends_with(" left"));
    }

    #[test]
    fn a_piece_of_the_log_that_is_not_a_line_is_not_overwritten() {
        assert_eq!(write(b"half", || 1), 1);
        assert!(terminal().in_line);
        write(b"rest\n", || ());
        assert!(!terminal().in_line);
    }

    #[test]
    fn the_templates_are_valid() {
        for template in [BAR, SPINNER] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
