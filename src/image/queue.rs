//! A queue of buffers to be written to the file of an image.
//!
//! The kernel lets only one thread at a time write to a file, and others that try waste time
//! waiting. Here, one thread writes what all have read, and the others continue reading.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use super::batch::GATHER;
use crate::aligned::Aligned;

/// The maximum number of full buffers that wait: enough to continue reading during a slow write,
/// but little memory.
const WAITING: usize = 2;

/// Contiguous bytes of the disk, at most [`GATHER`].
pub struct Buffer {
    bytes: Aligned,
    used: usize,
    /// Their offset on the disk, in bytes.
    offset: u64,
}

impl Default for Buffer {
    fn default() -> Buffer {
        // Lossless on every target Rust has.
        let length = usize::try_from(GATHER).unwrap_or(usize::MAX);
        Buffer {
            bytes: Aligned::zeros(length),
            used: 0,
            offset: 0,
        }
    }
}

impl Buffer {
    /// Empties the buffer. The bytes that are added next begin at `offset` on the disk.
    pub fn begin(&mut self, offset: u64) {
        self.used = 0;
        self.offset = offset;
    }

    /// The offset of its bytes on the disk, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// The offset of the end of its bytes on the disk, in bytes.
    pub fn end(&self) -> u64 {
        // usize to u64: lossless on every target Rust has.
        self.offset.saturating_add(self.used as u64)
    }

    /// The unused bytes, with their previous values.
    pub fn free(&mut self) -> &mut [u8] {
        &mut self.bytes[self.used..]
    }

    /// Marks the first `length` free bytes as used.
    pub fn use_free(&mut self, length: usize) {
        self.used = self.used.saturating_add(length).min(self.bytes.len());
    }

    /// Adds as many of `bytes` as fit, and returns their number.
    pub fn add(&mut self, bytes: &[u8]) -> usize {
        let length = bytes.len().min(self.bytes.len() - self.used);
        self.free()[..length].copy_from_slice(&bytes[..length]);
        self.used += length;
        length
    }

    /// Adds zeros up to a multiple of `block` bytes, as far as they fit.
    pub fn pad(&mut self, block: usize) {
        let end = self.used.next_multiple_of(block).min(self.bytes.len());
        self.bytes[self.used..end].fill(0);
        self.used = end;
    }
}

/// The buffers of one image.
pub struct Queue<'a> {
    write: &'a (dyn Fn(&Buffer) -> Result<()> + Sync),
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Default)]
struct State {
    full: VecDeque<Buffer>,
    empty: Vec<Buffer>,
    /// Whether a thread is writing. While buffers wait, one is, except after a failure.
    writing: bool,
    /// The number of threads that wait for room. If it is 0, no system call is needed to wake them.
    waiting: usize,
}

impl<'a> Queue<'a> {
    /// Creates an empty queue. Its buffers are passed to `write`, by one thread at a time.
    pub fn new(write: &'a (dyn Fn(&Buffer) -> Result<()> + Sync)) -> Queue<'a> {
        Queue {
            write,
            state: Mutex::default(),
            room: Condvar::new(),
        }
    }

    /// Has `buffer` written, by this thread or by one that is already writing, and replaces it with
    /// an empty buffer.
    ///
    /// # Errors
    /// If this thread does the writing, and it fails.
    pub fn put(&self, buffer: &mut Buffer) -> Result<()> {
        if buffer.used == 0 {
            return Ok(());
        }
        let mut state = self.lock();
        while state.writing && state.full.len() >= WAITING {
            state.waiting += 1;
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        let mut empty = state.empty.pop().unwrap_or_default();
        empty.begin(0);
        state.full.push_back(mem::replace(buffer, empty));
        if state.writing {
            return Ok(());
        }
        state.writing = true;
        let (mut state, result) = self.write_all(state);
        state.writing = false;
        // After a failure, buffers may be left for the next caller.
        self.wake(&state);
        result
    }

    fn write_all<'s>(&'s self, mut state: Guard<'s>) -> (Guard<'s>, Result<()>) {
        while let Some(buffer) = state.full.pop_front() {
            self.wake(&state);
            drop(state);
            let result = (self.write)(&buffer);
            state = self.lock();
            state.empty.push(buffer);
            if result.is_err() {
                return (state, result);
            }
        }
        (state, Ok(()))
    }

    fn wake(&self, state: &State) {
        if state.waiting > 0 {
            self.room.notify_all();
        }
    }

    fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Guard<'a> = MutexGuard<'a, State>;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn buffers_of_many_threads_are_written_once_and_one_at_a_time() {
        let busy = AtomicBool::new(false);
        let written = Mutex::new(Vec::new());
        let write = |buffer: &Buffer| {
            assert!(!busy.swap(true, Ordering::SeqCst), "concurrent writes");
            // Long enough for the other threads to fill the queue and wait.
            thread::sleep(Duration::from_micros(100));
            let mut written = written.lock().unwrap();
            written.push((buffer.offset(), buffer.bytes().to_vec()));
            busy.store(false, Ordering::SeqCst);
            Ok(())
        };
        let queue = Queue::new(&write);
        thread::scope(|scope| {
            for thread in 0..8u8 {
                let queue = &queue;
                scope.spawn(move || {
                    let mut buffer = Buffer::default();
                    for index in 0..50 {
                        buffer.begin(u64::from(thread) << 32 | index);
                        assert_eq!(buffer.add(&[thread; 3]), 3);
                        queue.put(&mut buffer).unwrap();
                    }
                });
            }
        });
        let mut written = written.into_inner().unwrap();
        written.sort();
        let expected: Vec<(u64, Vec<u8>)> = (0..8u8)
            .flat_map(|thread| {
                (0..50).map(move |index| (u64::from(thread) << 32 | index, vec![thread; 3]))
            })
            .collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn a_failure_stops_every_thread() {
        let write = |_: &Buffer| {
            thread::sleep(Duration::from_micros(100));
            Err(anyhow::anyhow!("no room"))
        };
        let queue = Queue::new(&write);
        let failures: Vec<String> = thread::scope(|scope| {
            let put = || {
                let mut buffer = Buffer::default();
                loop {
                    buffer.begin(0);
                    buffer.add(b"bytes");
                    if let Err(error) = queue.put(&mut buffer) {
                        return error.to_string();
                    }
                }
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(put)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(failures, ["no room"; 4]);
    }

    #[test]
    fn a_buffer_takes_only_what_fits() {
        let mut buffer = Buffer::default();
        let room = buffer.free().len();
        buffer.begin(8192);
        assert_eq!(buffer.add(b"abc"), 3);
        buffer.pad(4096);
        assert_eq!(buffer.end(), 8192 + 4096);
        assert_eq!(buffer.add(&vec![7; room]), room - 4096);
        assert!(buffer.free().is_empty());
        assert_eq!(buffer.bytes()[..5], *b"abc\0\0");
        // Padding overwrites previous bytes.
        buffer.begin(0);
        buffer.use_free(1);
        buffer.pad(4096);
        assert_eq!(buffer.bytes().len(), 4096);
        assert!(buffer.bytes()[1..].iter().all(|&byte| byte == 0));
    }
}
