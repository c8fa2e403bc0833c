//! Child processes: started so that they die with us, and with errors that say what they said.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::{escape, sys};

/// How much of what a child says is kept for an error, in bytes.
const TAIL: usize = 2048;

/// The children that run now.
static RUNNING: Mutex<Children> = Mutex::new(Children {
    groups: Vec::new(),
    ending: false,
});

struct Children {
    /// Their process groups; a child leads its own.
    groups: Vec<Pid>,
    /// Whether [`kill_all`] was called: no more children then.
    ending: bool,
}

/// A child and its place in [`RUNNING`].
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Running> {
        let mut running = lock();
        if running.ending {
            bail!("the build is being ended by a signal");
        }
        // A group of its own, so that its own children can be ended with it.
        let child = sys::die_with_parent(command)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", shown(command)))?;
        let group = i32::try_from(child.id()).ok().map(Pid::from_raw);
        running.groups.extend(group);
        Ok(Running { child, group })
    }

    fn wait(mut self) -> Result<ExitStatus> {
        let status = self.child.wait().context("waiting for a child");
        lock().groups.retain(|group| Some(*group) != self.group);
        status
    }
}

/// A child that is watched while it runs. Dropped, it is killed with whatever it has started.
pub(crate) struct Watched(Option<Running>);

impl Watched {
    /// Starts `command`, whose streams are the caller's to set. Start it on a thread that outlives
    /// it.
    ///
    /// # Errors
    /// If it can't be started: with its name.
    pub(crate) fn start(command: &mut Command) -> Result<Watched> {
        Ok(Watched(Some(Running::start(command)?)))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            if let Some(group) = running.group {
                // It may have ended by itself.
                let _ = killpg(group, Signal::SIGKILL);
            }
            let _ = running.wait();
        }
    }
}

/// Kills every child that runs and whatever it has started, and lets no more start: for the moment
/// before we end.
pub(crate) fn kill_all() {
    let mut running = lock();
    running.ending = true;
    for group in &running.groups {
        // It may have ended by itself since.
        let _ = killpg(*group, Signal::SIGKILL);
    }
}

/// Whether [`kill_all`] was called. What fails after it fails because of it.
pub(crate) fn ending() -> bool {
    lock().ending
}

fn lock() -> std::sync::MutexGuard<'static, Children> {
    // A list of numbers is sound whatever the thread that panicked was doing.
    RUNNING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs `command` to its end with nothing on its standard input, and returns what it wrote to
/// standard output. Its standard error is kept for the error message.
///
/// # Errors
/// If it can't be started or its status is not 0: with its command line, its status and the end
/// of its standard error.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let (status, stdout, tail) = run(command, false)?;
    check(command, status, &tail)?;
    Ok(stdout)
}

/// As [`output`], with `input` on the child's standard input.
///
/// # Errors
/// As [`output`]. A child that ends without having read everything is judged by its status.
pub fn output_with_input(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let mut file = tempfile::tempfile().context("making a temporary file for a child's input")?;
    file.write_all(input)
        .and_then(|()| io::Seek::rewind(&mut file))
        .context("writing a child's input to a temporary file")?;
    let (status, stdout, tail) = run_with(command, Stdio::from(file), false)?;
    check(command, status, &tail)?;
    Ok(stdout)
}

/// Runs `command` to its end with nothing on its standard input; what it says on either stream
/// goes to our standard error, that is to the build's log, as it comes.
///
/// # Errors
/// As [`output`], with the end of both streams.
pub fn logged(command: &mut Command) -> Result<()> {
    let (status, _, tail) = run(command, true)?;
    check(command, status, &tail)
}

fn run(command: &mut Command, echo: bool) -> Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    run_with(command, Stdio::null(), echo)
}

fn run_with(
    command: &mut Command,
    stdin: Stdio,
    echo: bool,
) -> Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    command
        .stdin(stdin)
        .stderr(Stdio::piped())
        // In a Nix build the log is a terminal, and a pager would wait for ever.
        .env("PAGER", "cat");
    let mut merged = None;
    if echo {
        // One pipe for both streams keeps their order.
        let (reader, writer) = io::pipe().context("making a pipe for a child's output")?;
        command.stdout(writer.try_clone().context("duplicating a pipe")?);
        command.stderr(writer);
        merged = Some(reader);
    } else {
        command.stdout(Stdio::piped());
    }
    let mut running = Running::start(command)?;
    if let Some(mut reader) = merged {
        // Our copies of the writing end live in `command`: without this the pipe never ends.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let tail = read_tail(&mut reader, true);
        return Ok((running.wait()?, Vec::new(), tail));
    }
    let stderr = running.child.stderr.take();
    let reader = thread::spawn(move || match stderr {
        Some(mut stream) => read_tail(&mut stream, false),
        None => Vec::new(),
    });
    let mut stdout = Vec::new();
    if let Some(mut stream) = running.child.stdout.take() {
        stream
            .read_to_end(&mut stdout)
            .with_context(|| format!("reading from {}", escape::bytes(&line(command))))?;
    }
    let status = running.wait()?;
    let tail = reader.join().unwrap_or_default();
    Ok((status, stdout, tail))
}

/// Reads `stream` to its end and returns its last [`TAIL`] bytes.
fn read_tail(stream: &mut impl Read, echo: bool) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return tail,
            Ok(n) => {
                if echo {
                    // A log that can't be written to is no reason to stop the build.
                    let _ = io::stderr().write_all(&buffer[..n]);
                }
                tail.extend_from_slice(&buffer[..n]);
                let surplus = tail.len().saturating_sub(TAIL);
                tail.drain(..surplus);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return tail,
        }
    }
}

fn check(command: &Command, status: ExitStatus, tail: &[u8]) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let said: Vec<String> = tail
        .trim_ascii()
        .split(|&byte| byte == b'\n')
        .map(|line| format!("  {}", escape::bytes(line.trim_ascii_end())))
        .collect();
    let said = if tail.trim_ascii().is_empty() {
        "it said nothing".to_owned()
    } else {
        format!("it said last:\n{}", said.join("\n"))
    };
    bail!("{} failed with {status}; {said}", shown(command))
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
    fn standard_output_is_returned() {
        assert_eq!(output(&mut sh("echo a; echo b >&2")).unwrap(), b"a\n");
        let mut cat = Command::new("cat");
        assert_eq!(output_with_input(&mut cat, b"in").unwrap(), b"in");
    }

    #[test]
    fn a_failure_has_command_line_status_and_tail() {
        let error = output(&mut sh("echo gone >&2; printf '\\377\\033' >&2; exit 3")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sh -c 'echo gone >&2; printf '\\\\''\\\\377\\\\033'\\\\'' >&2; exit 3' failed with exit status: 3; \
             it said last:\n  gone\n  \\xff\\u{1b}"
        );
    }

    #[test]
    fn ten_megabytes_of_complaint_neither_block_nor_stay() {
        let error = output(&mut sh(
            "head -c 10000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2; exit 1",
        ))
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
        let error = output(&mut Command::new("/nonexistent/x y")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "starting '/nonexistent/x y': No such file or directory (os error 2)"
        );
    }
}
