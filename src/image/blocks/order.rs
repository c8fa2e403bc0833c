//! [`Order`]: distributes chunks among threads, and restores their order afterwards.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Error, Result, anyhow, bail};

use super::chunk::Chunk;
use super::{BlockSink, Blocks};
use crate::codec::Compressor;
use crate::image::extents::ExtentReader;
use crate::image::worker::Progress;

/// The chunks of an image, on their way to a sink.
pub struct Order<'o, 'a> {
    blocks: &'o Blocks,
    progress: &'o Progress<'o>,
    /// Only the thread that has set [`State::writing`] locks it.
    sink: Mutex<&'o mut dyn BlockSink>,
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    /// The number of chunks that may still be created.
    uncreated: usize,
    empty: Vec<Chunk<'a>>,
    divided: VecDeque<Chunk<'a>>,
    encoded: BTreeMap<u64, Chunk<'a>>,
    /// The number of the chunk that is written next.
    next: u64,
    /// Whether a thread is writing.
    writing: bool,
    /// Whether everything has been divided.
    ended: bool,
    failure: Option<Error>,
}

type Guard<'s, 'a> = MutexGuard<'s, State<'a>>;

/// The state of one thread.
#[derive(Default)]
pub struct Worker<'a> {
    reader: ExtentReader<'a>,
    compressor: Option<Compressor>,
}

impl<'o, 'a> Order<'o, 'a> {
    /// Prepares for `threads` threads. At most twice as many chunks are in memory.
    pub fn new(
        threads: usize,
        blocks: &'o Blocks,
        sink: &'o mut dyn BlockSink,
        progress: &'o Progress<'o>,
    ) -> Order<'o, 'a> {
        Order {
            blocks,
            progress,
            sink: Mutex::new(sink),
            state: Mutex::new(State {
                uncreated: threads.max(1).saturating_mul(2),
                empty: Vec::new(),
                divided: VecDeque::new(),
                encoded: BTreeMap::new(),
                next: 0,
                writing: false,
                ended: false,
                failure: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// How the disk is cut into blocks.
    pub fn blocks(&self) -> &'o Blocks {
        self.blocks
    }

    /// Returns an empty chunk. While all are in use, it works on others.
    ///
    /// # Errors
    /// If any thread has failed.
    pub fn empty(&self, worker: &mut Worker<'a>) -> Result<Chunk<'a>> {
        let mut state = self.lock();
        loop {
            if state.failure.is_some() {
                bail!("another thread has failed");
            }
            if let Some(chunk) = state.empty.pop() {
                return Ok(chunk);
            }
            if let Some(left) = state.uncreated.checked_sub(1) {
                state.uncreated = left;
                drop(state);
                return Ok(Chunk::new(self.blocks.length));
            }
            state = match state.divided.pop_front() {
                Some(chunk) => self.process(state, chunk, worker),
                None => self.wait(state),
            };
        }
    }

    /// Has `chunk` filled, encoded and written.
    pub fn submit(&self, chunk: Chunk<'a>) {
        self.lock().divided.push_back(chunk);
        self.changed.notify_all();
    }

    /// Works until everything has been divided and encoded, or a thread has failed.
    pub fn work(&self, worker: &mut Worker<'a>) {
        let mut state = self.lock();
        while state.failure.is_none() {
            state = match state.divided.pop_front() {
                Some(chunk) => self.process(state, chunk, worker),
                None if state.ended => return,
                None => self.wait(state),
            };
        }
    }

    /// Ends the division of the disk, which has had this result.
    pub fn end(&self, result: Result<()>) {
        let mut state = self.lock();
        state.ended = true;
        if let Err(error) = result {
            state.failure.get_or_insert(error);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Returns the first failure of any thread.
    ///
    /// # Errors
    /// That failure.
    pub fn result(self) -> Result<()> {
        let state = self.state.into_inner();
        let failure = state.unwrap_or_else(PoisonError::into_inner).failure;
        failure.map_or(Ok(()), Err)
    }

    /// Fills and encodes `chunk`, then writes it and those after it, if it is their turn and no other
    /// thread is writing.
    fn process<'s>(
        &'s self,
        state: Guard<'s, 'a>,
        mut chunk: Chunk<'a>,
        worker: &mut Worker<'a>,
    ) -> Guard<'s, 'a> {
        drop(state);
        let panics = StopOthers(self);
        let result = worker
            .encode(&mut chunk, self.blocks)
            .map(|read| self.progress.add(read));
        let mut state = self.lock();
        match result {
            Ok(()) => {
                state.encoded.insert(chunk.number, chunk);
                state = self.write(state);
            }
            Err(error) => {
                state.failure.get_or_insert(error);
            }
        }
        drop(panics);
        self.changed.notify_all();
        state
    }

    fn write<'s>(&'s self, mut state: Guard<'s, 'a>) -> Guard<'s, 'a> {
        if state.writing || state.failure.is_some() {
            return state;
        }
        state.writing = true;
        loop {
            let next = state.next;
            let Some(chunk) = state.encoded.remove(&next) else {
                break;
            };
            drop(state);
            let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
            let result = chunk.put(self.blocks, &mut **sink);
            drop(sink);
            state = self.lock();
            state.next += 1;
            state.empty.push(chunk);
            self.changed.notify_all();
            if let Err(error) = result {
                state.failure.get_or_insert(error);
                break;
            }
        }
        state.writing = false;
        state
    }

    fn lock(&self) -> Guard<'_, 'a> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: Guard<'s, 'a>) -> Guard<'s, 'a> {
        let state = self.changed.wait(state);
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Worker<'a> {
    /// Reads the files of `chunk` and encodes its blocks. Returns the number of bytes read.
    fn encode(&mut self, chunk: &mut Chunk<'a>, blocks: &Blocks) -> Result<u64> {
        let read = chunk.fill(&mut self.reader)?;
        if let (None, Some(codec)) = (&self.compressor, blocks.codec) {
            self.compressor = Some(Compressor::new(codec)?);
        }
        chunk.encode(blocks, self.compressor.as_mut())?;
        Ok(read)
    }
}

/// If this thread panics, it ends the others, which would wait for its chunk.
struct StopOthers<'s, 'o, 'a>(&'s Order<'o, 'a>);

impl Drop for StopOthers<'_, '_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end(Err(anyhow!("a thread has panicked")));
        }
    }
}
