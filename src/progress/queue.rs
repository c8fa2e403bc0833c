//! The queue to the log: callers do not wait until the log is read.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How much output of children may wait to be written, in bytes. The last piece may exceed it.
const LIMIT: usize = 1 << 20;

/// How much more of our own output may wait: the reason for a failure must be logged, however much
/// output of children waits.
const RESERVE: usize = 2 << 20;

/// How long the log may take for one piece before it counts as stalled.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Pieces of the log, in order.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the pieces, including the one that is being written.
    bytes: usize,
    /// The number of pieces that were written.
    written: u64,
    /// The number of lines that were dropped since the last piece.
    dropped: usize,
    /// Whether nothing was written for [`PATIENCE`].
    stuck: bool,
}

impl State {
    /// Appends `piece`, or drops it if `limit` bytes already wait.
    fn push(&mut self, piece: Vec<u8>, limit: usize) {
        if self.bytes >= limit {
            let lines = piece.iter().filter(|&&byte| byte == b'\n').count();
            self.dropped = self.dropped.saturating_add(lines.max(1));
            return;
        }
        self.report_dropped_lines();
        self.append(piece);
    }

    fn report_dropped_lines(&mut self) {
        match mem::take(&mut self.dropped) {
            0 => {}
            lines => self.append(
                format!(
                    "\nwarning: {lines} lines were dropped here: the log was not read in time\n"
                )
                .into(),
            ),
        }
    }

    fn append(&mut self, piece: Vec<u8>) {
        self.bytes = self.bytes.saturating_add(piece.len());
        self.pieces.push_back(piece);
    }
}

impl Queue {
    /// Creates an empty queue.
    pub fn new() -> Queue {
        Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Appends `piece`, which is our own output, without waiting. If too much waits already, the
    /// piece is dropped and its lines are counted.
    pub fn push(&self, piece: Vec<u8>) {
        self.lock().push(piece, LIMIT + RESERVE);
        self.changed.notify_all();
    }

    /// Like [`Queue::push`], but for a child's output, and waits for room as long as something is
    /// written every `patience`.
    pub fn push_slowly(&self, piece: Vec<u8>, patience: Duration) {
        let (mut state, waited) = self.wait(patience, |state| state.bytes < LIMIT || state.stuck);
        if !waited {
            state.stuck = true;
        }
        state.push(piece, LIMIT);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until everything is written, as long as something is written every `patience`.
    pub fn flush(&self, patience: Duration) {
        self.lock().report_dropped_lines();
        self.changed.notify_all();
        drop(self.wait(patience, |state| state.bytes == 0));
    }

    /// Writes all pieces to `out`, forever. A piece that cannot be written is lost.
    pub fn write_to(&self, out: &mut (impl Write + AsFd)) {
        loop {
            let mut state = self.lock();
            let piece = loop {
                match state.pieces.pop_front() {
                    Some(piece) => break piece,
                    None => {
                        let waited = self.changed.wait(state);
                        state = waited.unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            drop(state);
            // A log that cannot be written must not stop the build.
            let _ = write(out, &piece);
            let mut state = self.lock();
            state.bytes = state.bytes.saturating_sub(piece.len());
            state.written = state.written.wrapping_add(1);
            state.stuck = false;
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits until `enough` is true; returns false if nothing was written for `patience`.
    fn wait(
        &self,
        patience: Duration,
        enough: impl Fn(&State) -> bool,
    ) -> (MutexGuard<'_, State>, bool) {
        let mut state = self.lock();
        while !enough(&state) {
            let before = state.written;
            let unchanged = |state: &mut State| state.written == before && !enough(state);
            let waited = self.changed.wait_timeout_while(state, patience, unchanged);
            let (guard, time) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if time.timed_out() {
                return (state, false);
            }
        }
        (state, true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent wherever another thread panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Like `write_all`, but also for a stream that another process has made non-blocking.
fn write(out: &mut (impl Write + AsFd), mut piece: &[u8]) -> io::Result<()> {
    while !piece.is_empty() {
        match out.write(piece) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => piece = &piece[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut log = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
                poll(&mut log, PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::Arc;
    use std::thread;

    const SHORT: Duration = Duration::from_millis(50);

    /// A queue whose log is a pipe, and the reading end of the pipe.
    fn queue() -> (Arc<Queue>, io::PipeReader) {
        let queue = Arc::new(Queue::new());
        let (reader, mut writer) = io::pipe().unwrap();
        let own = queue.clone();
        thread::spawn(move || own.write_to(&mut writer));
        (queue, reader)
    }

    fn read(mut log: io::PipeReader, length: usize) -> String {
        let mut text = vec![0; length];
        log.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn pieces_are_written_in_order() {
        let (queue, log) = queue();
        queue.push(b"one\n".to_vec());
        queue.push_slowly(b"two\n".to_vec(), SHORT);
        queue.push(b"three\n".to_vec());
        queue.flush(SHORT);
        assert_eq!(read(log, 14), "one\ntwo\nthree\n");
    }

    #[test]
    fn an_unread_log_blocks_no_caller_and_dropped_lines_are_counted() {
        let (queue, log) = queue();
        let line = vec![b'x'; LIMIT];
        // The pipe takes some of it, and the rest fills the queue.
        for _ in 0..3 {
            queue.push_slowly(line.clone(), SHORT);
        }
        queue.push_slowly(b"four\nfive\n".to_vec(), SHORT);
        // After one timeout, callers do not wait again.
        queue.push_slowly(b"six\n".to_vec(), Duration::from_secs(60));
        queue.push(b"ours\n".to_vec());
        queue.flush(SHORT);
        let end =
            "\nwarning: 5 lines were dropped here: the log was not read in time\nours\nseven\n";
        let reader = thread::spawn(move || read(log, LIMIT + end.len()));
        queue.flush(Duration::from_secs(60));
        queue.push(b"seven\n".to_vec());
        queue.flush(Duration::from_secs(60));
        assert_eq!(&reader.join().unwrap()[LIMIT..], end);
    }

    #[test]
    fn our_own_lines_are_limited_too() {
        let (queue, log) = queue();
        let line = vec![b'x'; LIMIT];
        for _ in 0..10 {
            queue.push(line.clone());
        }
        let waiting = queue.lock().bytes;
        assert!((LIMIT + RESERVE..=LIMIT + RESERVE + LIMIT).contains(&waiting));
        drop(log);
    }

    #[test]
    fn a_slow_log_gets_everything() {
        let (queue, mut log) = queue();
        let writer = queue.clone();
        let all = thread::spawn(move || {
            for number in 0..400_u32 {
                writer.push_slowly(vec![number.to_le_bytes()[0]; 8192], Duration::from_secs(60));
            }
            writer.flush(Duration::from_secs(60));
        });
        let mut bytes = Vec::new();
        let mut buffer = [0; 8192];
        while bytes.len() < 400 * 8192 {
            thread::sleep(Duration::from_micros(200));
            let length = log.read(&mut buffer).unwrap();
            bytes.extend_from_slice(&buffer[..length]);
        }
        all.join().unwrap();
        let expected = (0..400_u32).flat_map(|n| vec![n.to_le_bytes()[0]; 8192]);
        assert!(bytes.into_iter().eq(expected));
    }
}
