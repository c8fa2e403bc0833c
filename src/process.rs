//! Child processes: started so that they die with us, watched while they run, and with errors that
//! say what they said.

use std::ffi::OsStr;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::{escape, progress, sys};

/// How much of what a child says is kept for an error, in bytes.
const TAIL: usize = 2048;

/// How long a tool that takes seconds may take: something is wrong with one that takes longer.
pub const USUAL: Duration = Duration::from_secs(600);

/// How much is read at most after a child's end, should a process that has left its group go on
/// talking: no pipe holds more of what the child itself said (pipe(7)).
const DRAIN: usize = 1 << 20;

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
            .with_context(|| format!("starting {}", shown(command)))?;
        let id = i32::try_from(child.id()).context("a child has no process ID")?;
        Ok(Watched {
            child,
            group: Pid::from_raw(id),
            stopped: false,
        })
    }

    /// A stream that is closed when the child has ended, which is then still there to be waited for.
    fn end(&self) -> Result<PipeReader> {
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
    fn stop(&mut self) -> io::Result<ExitStatus> {
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

/// Runs `command` to its end, but for `limit` at most, with nothing on its standard input. Its
/// standard error is kept for the error message, and its standard output thrown away.
///
/// What it leaves running in its process group ends with it.
///
/// # Errors
/// If it can't be started, takes too long or its status is not 0: with its command line, its status
/// and the end of its standard error.
pub fn quiet(command: &mut Command, limit: Duration) -> Result<()> {
    run(command, Stdio::null(), Some(limit), false)
}

/// As [`quiet`], with `input` on the child's standard input.
///
/// # Errors
/// As [`quiet`]. A child that ends without having read everything is judged by its status.
pub fn quiet_with_input(command: &mut Command, input: &[u8], limit: Duration) -> Result<()> {
    let mut file = tempfile::tempfile().context("making a temporary file for a child's input")?;
    file.write_all(input)
        .and_then(|()| io::Seek::rewind(&mut file))
        .context("writing a child's input to a temporary file")?;
    run(command, Stdio::from(file), Some(limit), false)
}

/// Runs `command`, code of the caller's that may take as long as it likes, to its end with nothing on
/// its standard input; what it says on either stream goes to our standard error, that is to the
/// build's log, as it comes.
///
/// # Errors
/// As [`quiet`], with the end of both streams.
pub fn logged(command: &mut Command) -> Result<()> {
    run(command, Stdio::null(), None, true)
}

fn run(command: &mut Command, stdin: Stdio, limit: Option<Duration>, echo: bool) -> Result<()> {
    let (reader, writer) = io::pipe().context("making a pipe for a child's output")?;
    // One pipe for both streams keeps their order.
    let stdout = match echo {
        true => Stdio::from(writer.try_clone().context("duplicating a pipe")?),
        false => Stdio::null(),
    };
    command
        .stdin(stdin)
        .stdout(stdout)
        .stderr(writer)
        // In a Nix build the log is a terminal, and a pager would wait for ever.
        .env("PAGER", "cat");
    let running = Watched::start(command);
    // Our copies of the writing end live in `command`: without this the pipe never ends.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut running = running?;
    let mut output = Output {
        pipe: Some(reader),
        echo,
        tail: Vec::new(),
    };
    let end = running.end()?;
    let in_time = output.follow(&end, limit)?;
    let status = running.stop().context("waiting for a child")?;
    output.drain()?;
    let what = match limit {
        Some(limit) if !in_time => {
            format!("did not end within {} s and was killed", limit.as_secs())
        }
        _ if status.success() => return Ok(()),
        _ => format!("failed with {status}{}", hint(status)),
    };
    bail!("{} {what}; {}", shown(command), said(&output.tail))
}

/// What a child says.
struct Output {
    /// None at its end.
    pipe: Option<PipeReader>,
    echo: bool,
    /// Its last [`TAIL`] bytes.
    tail: Vec<u8>,
}

impl Output {
    /// Reads until `end` is closed. False if it is not within `limit`.
    fn follow(&mut self, end: &PipeReader, limit: Option<Duration>) -> Result<bool> {
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
            let (ended, spoken) = (is_ready(streams.first()), is_ready(streams.get(1)));
            if spoken {
                self.read();
            }
            if ended {
                return Ok(true);
            }
        }
    }

    /// Reads what is there already.
    fn drain(&mut self) -> Result<()> {
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

    /// Reads once; returns how many bytes.
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

/// Waits for one of `streams`, for `limit` at most.
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
        Err(errno) => Err(errno).context("waiting for what a child says"),
    }
}

/// What a signal says that nobody sends on purpose.
fn hint(status: ExitStatus) -> &'static str {
    match status.signal() {
        Some(libc::SIGKILL) => ", most likely for want of memory",
        Some(libc::SIGXCPU) => ": its processor time is used up (ulimit -t)",
        Some(libc::SIGXFSZ) => ": it may write no file as large as that (ulimit -f)",
        _ => "",
    }
}

fn said(tail: &[u8]) -> String {
    if tail.trim_ascii().is_empty() {
        return "it said nothing".to_owned();
    }
    let lines: Vec<String> = tail
        .trim_ascii()
        .split(|&byte| byte == b'\n')
        .map(|line| format!("  {}", escape::bytes(line.trim_ascii_end())))
        .collect();
    format!("it said last:\n{}", lines.join("\n"))
}

/// How much of a command line an error shows, in bytes.
const LINE: usize = 2048;

/// The command line for a message.
fn shown(command: &Command) -> String {
    escape::beginning(&line(command), LINE)
}

/// The command line, words with blanks or quotes in single quotes.
fn line(command: &Command) -> Vec<u8> {
    let quote = |word: &OsStr| {
        let word = word.as_encoded_bytes();
        let plain =
            |b: &u8| b.is_ascii_alphanumeric() || b"-_./=:,+@%^*?".contains(b) || *b >= 0x80;
        if !word.is_empty() && word.iter().all(plain) {
            return word.to_vec();
        }
        let mut quoted = vec![b'\''];
        for &byte in word {
            match byte {
                b'\'' => quoted.extend_from_slice(b"'\\''"),
                byte => quoted.push(byte),
            }
        }
        quoted.push(b'\'');
        quoted
    };
    let mut words = vec![quote(command.get_program())];
    words.extend(command.get_args().map(quote));
    words.join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn standard_input_is_the_input_or_nothing() {
        quiet(&mut sh("! read line; echo a; echo b >&2"), USUAL).unwrap();
        let mut script = sh("read line; test $line = in");
        quiet_with_input(&mut script, b"in\n", USUAL).unwrap();
    }

    #[test]
    fn a_failure_has_command_line_status_and_tail() {
        let mut script = sh("echo gone >&2; printf '\\377\\033' >&2; echo out; exit 3");
        let error = quiet(&mut script, USUAL).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sh -c 'echo gone >&2; printf '\\\\''\\\\377\\\\033'\\\\'' >&2; echo out; exit 3' \
             failed with exit status: 3; it said last:\n  gone\n  \\xff\\u{1b}"
        );
    }

    #[test]
    fn a_signal_of_a_limit_is_explained() {
        for (script, words) in [
            (
                "kill -9 $$",
                "signal: 9 (SIGKILL), most likely for want of memory; it",
            ),
            (
                "kill -24 $$",
                " (SIGXCPU): its processor time is used up (ulimit -t); it",
            ),
            (
                "kill -25 $$",
                " (SIGXFSZ): it may write no file as large as that (ulimit -f); it",
            ),
            ("kill -15 $$", "signal: 15 (SIGTERM); it"),
        ] {
            let error = quiet(&mut sh(script), USUAL).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn ten_megabytes_of_complaint_neither_block_nor_stay() {
        let error = quiet(
            &mut sh("head -c 10000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2; exit 1"),
            USUAL,
        )
        .unwrap_err()
        .to_string();
        assert!(error.ends_with("x\n  end"), "{error}");
        assert!(error.len() < 3000);
    }

    #[test]
    fn both_streams_of_a_logged_child_are_in_the_error() {
        let error = logged(&mut sh("echo one; echo two >&2; exit 1")).unwrap_err();
        assert!(error.to_string().ends_with("  one\n  two"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = quiet(&mut Command::new("/nonexistent/x y"), USUAL).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "starting '/nonexistent/x y': No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_child_that_hangs_is_killed_with_what_it_has_started() {
        let begin = Instant::now();
        let script = "echo waiting >&2; sleep 1000 & sleep 1000";
        let error = quiet(&mut sh(script), Duration::from_millis(300)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "sh -c '{script}' did not end within 0 s and was killed; it said last:\n  waiting"
            )
        );
        // One that has closed its streams, too.
        let script = "exec >&- 2>&-; sleep 1000";
        let error = quiet(&mut sh(script), Duration::from_millis(300)).unwrap_err();
        assert!(error.to_string().ends_with("it said nothing"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    /// The one in the background holds the pipe; the second also leaves the group and talks on.
    #[test]
    fn the_end_of_a_child_is_enough() {
        let begin = Instant::now();
        logged(&mut sh("sleep 1000 & echo started")).unwrap();
        quiet(
            &mut sh("setsid sh -c 'for i in $(seq 50); do echo; sleep 0.1; done' & :"),
            USUAL,
        )
        .unwrap();
        let error = logged(&mut sh("setsid timeout 3 yes & echo gone; exit 1")).unwrap_err();
        assert!(error.to_string().contains("exit status: 1"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}
