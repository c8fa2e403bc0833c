//! The log of a build: steps with their times, phases for Nix, progress in bytes.
//!
//! On a terminal, a step of more than a second has a progress bar. In a Nix build, where standard error
//! is a pseudo-terminal that no user watches, progress is at most one line per second. Anywhere else,
//! there is none.
//!
//! Callers do not wait for the log: a separate thread writes it.

mod color;
mod display;
mod queue;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::HumanBytes;
use log::info;

use self::display::Display;
use self::queue::Queue;
use crate::code::Code;

pub(crate) use self::display::{Length, moved};
pub use self::queue::PATIENCE;

/// The queue to standard error; `None` if its thread cannot be started.
fn queue() -> Option<&'static Queue> {
    static QUEUE: OnceLock<Queue> = OnceLock::new();
    static WRITES: OnceLock<bool> = OnceLock::new();
    let queue = QUEUE.get_or_init(Queue::new);
    let start = || -> io::Result<()> {
        // Not through `Stderr`: its lock would keep a panic from being reported.
        let mut log = Screen(File::from(io::stderr().as_fd().try_clone_to_owned()?));
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || queue.write_to(&mut log))
            .map(drop)
    };
    WRITES.get_or_init(|| start().is_ok()).then_some(queue)
}

/// Standard error, on which a progress bar may be drawn.
struct Screen(File);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        display::write(bytes, || self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl AsFd for Screen {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The destination of the `log` crate's lines.
struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match queue() {
            Some(queue) => queue.push(bytes.to_vec()),
            None => io::stderr().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends a child's output to the log unmodified, unless only warnings are logged. It waits for a slow log, but not for one that is
/// not read.
pub(crate) fn echo(bytes: &[u8]) {
    if log::max_level() < log::LevelFilter::Info {
        return;
    }
    match queue() {
        Some(queue) => queue.push_slowly(bytes.to_vec(), PATIENCE),
        // A log that cannot be written must not stop the build.
        None => _ = io::stderr().write_all(bytes),
    }
}

/// Waits until everything is written to the log, as long as some of it is written every `patience`.
pub fn flush(patience: Duration) {
    if let Some(queue) = queue() {
        queue.flush(patience);
    }
}

/// The reader of the log.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    in_nix: bool,
    has_display: bool,
}

impl Log {
    /// Detects the reader of the log.
    pub fn detect() -> Log {
        let in_nix = std::env::var_os("NIX_LOG_FD").is_some();
        Log {
            in_nix,
            has_display: color::on_terminal() && VERBOSITY.get() != Some(&Verbosity::Quiet),
        }
    }

    /// Reports the name of the phase that begins to Nix, if there is one. `nix build` shows it.
    pub(crate) fn phase(&self, name: &str) {
        if self.in_nix {
            let message = serde_json::json!({ "action": "setPhase", "phase": name });
            // The prefix belongs to Nix's log protocol, and must start the line. A log that cannot
            // be written must not stop the build.
            let _ = Lines.write_all(format!("@nix {message}\n").as_bytes());
        }
    }

    /// Logs `name`, does `work`, and logs how long it took.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn step<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.step_with(name, Length::Unknown, work)
    }

    /// Like [`Log::step`], for a step of this length.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn step_with<T>(
        &self,
        name: &str,
        length: Length,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        info!("{name}");
        let start = Instant::now();
        let display = self.has_display.then(|| Display::start(length));
        let result = work();
        drop(display);
        let result = result?;
        info!("  {:.2} s", start.elapsed().as_secs_f64());
        Ok(result)
    }

    /// Like [`Log::step`], for a step that processes `total` bytes. `work` reports how many are done.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn step_of<T>(
        &self,
        name: &str,
        total: u64,
        work: impl FnOnce(&Bytes) -> Result<T>,
    ) -> Result<T> {
        info!("{name}");
        let start = Instant::now();
        let bytes = self.bytes(total);
        let result = work(&bytes);
        bytes.finish(result.is_ok());
        let result = result?;
        info!("  {:.2} s", start.elapsed().as_secs_f64());
        Ok(result)
    }

    fn bytes(&self, total: u64) -> Bytes {
        let display = self
            .has_display
            .then(|| Display::start(Length::Bytes(total)));
        Bytes {
            total,
            done: AtomicU64::new(0),
            start: Instant::now(),
            last_line: self.in_nix.then(|| Mutex::new(Instant::now())),
            display,
        }
    }
}

/// The progress of a step in bytes, which several threads may update.
pub(crate) struct Bytes {
    total: u64,
    done: AtomicU64,
    start: Instant,
    /// When the last line was logged, if there are lines.
    last_line: Option<Mutex<Instant>>,
    display: Option<Display>,
}

impl Bytes {
    /// Reports that `done` bytes are done. If several threads report, the largest number counts.
    pub fn reach(&self, done: u64) {
        let done = self.done.fetch_max(done, Ordering::Relaxed).max(done);
        if let Some(display) = &self.display {
            display.set_done(done);
        }
        // If another thread holds the lock, it writes the line.
        let Some(Ok(mut last)) = self.last_line.as_ref().map(Mutex::try_lock) else {
            return;
        };
        if last.elapsed() >= Duration::from_secs(1) {
            *last = Instant::now();
            info!("  {}", line(done, self.total, self.start.elapsed()));
        }
    }

    /// Ends the display, with a final line if the step succeeded.
    fn finish(mut self, succeeded: bool) {
        self.display = None;
        if succeeded {
            let done = self.done.load(Ordering::Relaxed);
            info!("  {}", line(done, self.total, self.start.elapsed()));
        }
    }
}

/// `1.20 GiB of 3.00 GiB, 810.00 MiB/s`.
fn line(done: u64, total: u64, elapsed: Duration) -> String {
    let millis = elapsed.as_millis().max(1);
    let rate = u128::from(done) * 1000 / millis;
    format!(
        "{} of {}, {}/s",
        HumanBytes(done),
        HumanBytes(total),
        HumanBytes(u64::try_from(rate).unwrap_or(u64::MAX))
    )
}

/// Logs the error that ends the program, with its code, whatever lines are logged otherwise.
pub fn error(code: Code, message: impl fmt::Display) {
    // An error that cannot be written is lost.
    let label = color::red(&format!("error[{}]:", code.name()));
    let _ = Lines.write_all(format!("{label} {message}\n").as_bytes());
}

/// Which lines are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors, and no progress bar.
    Quiet,
    /// Warnings and errors.
    Warnings,
    /// Steps, too, and the output of the programs that they run.
    Normal,
    /// The command line of each program, too.
    Verbose,
}

static VERBOSITY: OnceLock<Verbosity> = OnceLock::new();

/// Sets which lines [`init`] lets through. The first call counts.
pub fn set_verbosity(verbosity: Verbosity) {
    let _ = VERBOSITY.set(verbosity);
}

/// Sends the lines of the `log` crate to standard error, without time or module. Call [`flush`]
/// before the process exits.
pub fn init() {
    let level = match VERBOSITY.get() {
        Some(Verbosity::Quiet | Verbosity::Warnings) => "warn",
        Some(Verbosity::Verbose) => "debug",
        Some(Verbosity::Normal) | None => "info",
    };
    let environment = env_logger::Env::default().default_filter_or(level);
    // It fails if a logger is already set, by an earlier call.
    let _ = env_logger::Builder::from_env(environment)
        .target(env_logger::Target::Pipe(Box::new(Lines)))
        .format(|out, record| match record.level() {
            log::Level::Error => writeln!(out, "{} {}", color::red("error:"), record.args()),
            log::Level::Warn => writeln!(out, "{} {}", color::yellow("warning:"), record.args()),
            _ => writeln!(out, "{}", record.args()),
        })
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_bytes_and_rate() {
        assert_eq!(
            line(1 << 30, 3 << 30, Duration::from_secs(2)),
            "1.00 GiB of 3.00 GiB, 512.00 MiB/s"
        );
        assert_eq!(line(0, 0, Duration::ZERO), "0 B of 0 B, 0 B/s");
    }
}
