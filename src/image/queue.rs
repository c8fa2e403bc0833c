//! Buffers on their way into the file of an image.
//!
//! The kernel lets one thread at a time write to a file, and others that try to are busy with
//! waiting. Here one writes what all have read, and the others go on reading.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use super::batch::GATHER;

/// How many full buffers may wait: enough to go on reading while a write takes long, and little
/// memory.
const WAITING: usize = 4;

/// Bytes that belong together at a place of the disk, at most [`GATHER`].
pub struct Buffer {
    bytes: Box<[u8]>,
    used: usize,
    /// Where they go on the disk, in bytes.
    offset: u64,
}

impl Default for Buffer {
    fn default() -> Buffer {
        // Lossless on every target Rust has.
        let length = usize::try_from(GATHER).unwrap_or(usize::MAX);
        Buffer {
            bytes: vec![0; length].into(),
            used: 0,
            offset: 0,
        }
    }
}

impl Buffer {
    /// Makes it empty; what comes next begins at `offset` on the disk.
    pub fn begin(&mut self, offset: u64) {
        self.used = 0;
        self.offset = offset;
    }

    /// Where its bytes go on the disk, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// Where its bytes end on the disk, in bytes.
    pub fn end(&self) -> u64 {
        // usize to u64: lossless on every target Rust has.
        self.offset.saturating_add(self.used as u64)
    }

    /// The bytes behind those that are in use, with what was there before.
    pub fn free(&mut self) -> &mut [u8] {
        &mut self.bytes[self.used..]
    }

    /// Takes the first `length` of the free bytes into use.
    pub fn use_free(&mut self, length: usize) {
        self.used = self.used.saturating_add(length).min(self.bytes.len());
    }

    /// Adds as many of `bytes` as there is room for, and returns how many.
    pub fn add(&mut self, bytes: &[u8]) -> usize {
        let length = bytes.len().min(self.bytes.len() - self.used);
        self.free()[..length].copy_from_slice(&bytes[..length]);
        self.used += length;
        length
    }

    /// Adds zeros up to a multiple of `block` bytes, as far as there is room.
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
    /// Whether a thread is writing. While buffers wait, one is.
    writing: bool,
    /// How many threads wait for room: waking nobody is a system call for nothing.
    waiting: usize,
}

impl<'a> Queue<'a> {
    /// An empty one; what goes into it is handed to `write`, to which no two calls are made at
    /// once.
    pub fn new(write: &'a (dyn Fn(&Buffer) -> Result<()> + Sync)) -> Queue<'a> {
        Queue {
            write,
            state: Mutex::default(),
            room: Condvar::new(),
        }
    }

    /// Has the bytes of `buffer` written, by this thread or by one that is writing, and leaves
    /// an empty buffer in its place.
    ///
    /// # Errors
    /// If this thread is the one that writes, and that fails.
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
        // After a failure buffers may wait for who comes next.
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
    fn what_many_threads_put_is_written_once_and_one_at_a_time() {
        let busy = AtomicBool::new(false);
        let written = Mutex::new(Vec::new());
        let write = |buffer: &Buffer| {
            assert!(!busy.swap(true, Ordering::SeqCst), "two writes at once");
            // Long enough for the others to fill the queue, and wait.
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
    fn a_failure_ends_every_thread_and_not_in_a_hang() {
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
    fn a_buffer_takes_what_it_has_room_for() {
        let mut buffer = Buffer::default();
        let room = buffer.free().len();
        buffer.begin(8192);
        assert_eq!(buffer.add(b"abc"), 3);
        buffer.pad(4096);
        assert_eq!(buffer.end(), 8192 + 4096);
        assert_eq!(buffer.add(&vec![7; room]), room - 4096);
        assert!(buffer.free().is_empty());
        assert_eq!(buffer.bytes()[..5], *b"abc\0\0");
        // Bytes that were there before are no padding.
        buffer.begin(0);
        buffer.use_free(1);
        buffer.pad(4096);
        assert_eq!(buffer.bytes().len(), 4096);
        assert!(buffer.bytes()[1..].iter().all(|&byte| byte == 0));
    }
}
