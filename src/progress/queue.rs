//! What is said, on its way to the log: who says it need not wait until it is read.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How much of what children say may wait to be written, in bytes; the last piece may be beyond it.
const LIMIT: usize = 1 << 20;

/// How much of our own may wait besides: why a build failed must be told, however much its children
/// said before.
const RESERVE: usize = 2 << 20;

/// How long the log may take for one piece before it counts as one that nobody reads.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Pieces of the log, in their order.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the pieces, and of the one that is being written.
    bytes: usize,
    /// How many pieces were written.
    written: u64,
    /// Lines that were left out since the last piece.
    left_out: usize,
    /// Whether nothing was written for [`PATIENCE`].
    stuck: bool,
}

impl State {
    /// Appends `piece`, or leaves it out if `limit` bytes wait already.
    fn push(&mut self, piece: Vec<u8>, limit: usize) {
        if self.bytes >= limit {
            let lines = piece.iter().filter(|&&byte| byte == b'\n').count();
            self.left_out = self.left_out.saturating_add(lines.max(1));
            return;
        }
        self.tell_what_is_left_out();
        self.append(piece);
    }

    fn tell_what_is_left_out(&mut self) {
        match mem::take(&mut self.left_out) {
            0 => {}
            lines => self.append(
                format!(
                    "\nwarning: {lines} lines are left out here: the log was not read in time\n"
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
    /// An empty one.
    pub fn new() -> Queue {
        Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Appends `piece`, which is our own, without waiting. It is left out, and its lines are counted, if
    /// too much is waiting already.
    pub fn push(&self, piece: Vec<u8>) {
        self.lock().push(piece, LIMIT + RESERVE);
        self.changed.notify_all();
    }

    /// As [`Queue::push`], but of a child, and waits for room as long as something is written every
    /// `patience`.
    pub fn push_slowly(&self, piece: Vec<u8>, patience: Duration) {
        let (mut state, waited) = self.wait(patience, |state| state.bytes < LIMIT || state.stuck);
        if !waited {
            state.stuck = true;
        }
        state.push(piece, LIMIT);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until everything is written, as long as something is every `patience`.
    pub fn flush(&self, patience: Duration) {
        self.lock().tell_what_is_left_out();
        self.changed.notify_all();
        drop(self.wait(patience, |state| state.bytes == 0));
    }

    /// Writes what there is and what will come to `out`, for ever. What can't be written is lost.
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
            // A log that can't be written to is no reason to stop the build.
            let _ = write(out, &piece);
            let mut state = self.lock();
            state.bytes = state.bytes.saturating_sub(piece.len());
            state.written = state.written.wrapping_add(1);
            state.stuck = false;
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits until `enough`; false if nothing was written for `patience`.
    fn wait(
        &self,
        patience: Duration,
        enough: impl Fn(&State) -> bool,
    ) -> (MutexGuard<'_, State>, bool) {
        let mut state = self.lock();
        while !enough(&state) {
            let before = state.written;
            let moved = |state: &mut State| state.written == before && !enough(state);
            let waited = self.changed.wait_timeout_while(state, patience, moved);
            let (guard, time) = waited.unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if time.timed_out() {
                return (state, false);
            }
        }
        (state, true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Pieces are sound whatever the thread that panicked was doing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As `write_all`, also to a stream that somebody has made one that doesn't block.
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

    /// A queue whose log is a pipe, and what reads it.
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
    fn what_is_said_comes_in_its_order() {
        let (queue, log) = queue();
        queue.push(b"one\n".to_vec());
        queue.push_slowly(b"two\n".to_vec(), SHORT);
        queue.push(b"three\n".to_vec());
        queue.flush(SHORT);
        assert_eq!(read(log, 14), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_log_that_nobody_reads_holds_nobody_up_and_says_what_is_missing() {
        let (queue, log) = queue();
        let line = vec![b'x'; LIMIT];
        // The pipe takes some of it, and the rest is all that may wait.
        for _ in 0..3 {
            queue.push_slowly(line.clone(), SHORT);
        }
        queue.push_slowly(b"four\nfive\n".to_vec(), SHORT);
        // It was too long once: nobody waits again.
        queue.push_slowly(b"six\n".to_vec(), Duration::from_secs(60));
        queue.push(b"ours\n".to_vec());
        queue.flush(SHORT);
        let end =
            "\nwarning: 5 lines are left out here: the log was not read in time\nours\nseven\n";
        let reader = thread::spawn(move || read(log, LIMIT + end.len()));
        queue.flush(Duration::from_secs(60));
        queue.push(b"seven\n".to_vec());
        queue.flush(Duration::from_secs(60));
        assert_eq!(&reader.join().unwrap()[LIMIT..], end);
    }

    #[test]
    fn of_our_own_lines_too_only_so_many_wait() {
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
