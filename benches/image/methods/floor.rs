//! The lower bound: reads every file and writes all data to one file, without links, modes, times or order.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;

use make_disk_image::aligned::Aligned;

const BUFFER: usize = 1 << 20;

/// Uses one thread, one file after the other.
pub fn one_core(store: &Path, image: &Path) {
    let mut output = File::create(image).unwrap();
    let mut gather = Gather::new(|bytes: &[u8]| output.write_all(bytes).unwrap());
    let mut stack = vec![store.to_owned()];
    while let Some(directory) = stack.pop() {
        visit(&directory, &mut gather, |found| stack.push(found));
    }
    gather.flush();
}

/// Each full buffer is written after the previous ones.
pub fn all_cores(store: &Path, image: &Path) {
    let output = File::create(image).unwrap();
    let end = AtomicU64::new(0);
    read_on_all_cores(store, |bytes| {
        let length = u64::try_from(bytes.len()).unwrap();
        let offset = end.fetch_add(length, Ordering::Relaxed);
        output.write_all_at(bytes, offset).unwrap();
    });
}

/// Reads all files and writes nothing.
pub fn read(store: &Path) {
    read_on_all_cores(store, |bytes| {
        std::hint::black_box(bytes);
    });
}

/// Reads nothing and writes `length` bytes, on all cores.
pub fn write(image: &Path, length: u64) {
    let output = File::create(image).unwrap();
    let next = AtomicU64::new(0);
    on_all_cores(|| {
        let mut buffer = Aligned::zeros(BUFFER);
        buffer.fill(1);
        let step = u64::try_from(BUFFER).unwrap();
        loop {
            let offset = next.fetch_add(step, Ordering::Relaxed);
            let Some(rest) = length.checked_sub(offset).filter(|&rest| rest > 0) else {
                break;
            };
            let bytes = usize::try_from(rest.min(step)).unwrap();
            output.write_all_at(&buffer[..bytes], offset).unwrap();
        }
    });
}

/// All threads take directories from a stack, and pass what they have read to `got`.
fn read_on_all_cores(store: &Path, got: impl Fn(&[u8]) + Sync) {
    let queue = (Mutex::new((vec![store.to_owned()], 0)), Condvar::new());
    on_all_cores(|| {
        let mut gather = Gather::new(&got);
        while let Some(directory) = take(&queue) {
            let mut found = Vec::new();
            visit(&directory, &mut gather, |directory| found.push(directory));
            let mut state = queue.0.lock().unwrap();
            state.0.extend(found);
            state.1 -= 1;
            drop(state);
            queue.1.notify_all();
        }
        gather.flush();
    });
}

fn on_all_cores(work: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(&work);
        }
    });
}

/// The directories that are still to be read, and the number of those being read.
type Queue = (Mutex<(Vec<PathBuf>, usize)>, Condvar);

fn take(queue: &Queue) -> Option<PathBuf> {
    let waiting = |state: &mut (Vec<PathBuf>, usize)| state.0.is_empty() && state.1 > 0;
    let state = queue.0.lock().unwrap();
    let mut state = queue.1.wait_while(state, waiting).unwrap();
    let directory = state.0.pop()?;
    state.1 += 1;
    Some(directory)
}

fn visit(directory: &Path, gather: &mut Gather<impl FnMut(&[u8])>, mut found: impl FnMut(PathBuf)) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found(entry.path());
        } else if kind.is_file() {
            gather.add(File::open(entry.path()).unwrap());
        }
    }
}

/// Reads files into a buffer that is written when it is full.
struct Gather<F> {
    buffer: Aligned,
    filled: usize,
    write: F,
}

impl<F: FnMut(&[u8])> Gather<F> {
    fn new(write: F) -> Gather<F> {
        Gather {
            buffer: Aligned::zeros(BUFFER),
            filled: 0,
            write,
        }
    }

    fn add(&mut self, mut file: File) {
        loop {
            match file.read(&mut self.buffer[self.filled..]).unwrap() {
                0 => return,
                got => self.filled += got,
            }
            if self.filled == BUFFER {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        (self.write)(&self.buffer[..self.filled]);
        self.filled = 0;
    }
}
