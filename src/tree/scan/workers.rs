//! The threads of a scan and the directories they have still to read.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{Result, anyhow, bail};

use super::super::{Inode, Metadata};
use super::policy::Policy;
use super::read::{self, Follow, Found, Problem, Reader, Shared};
use crate::escape;

/// How many problems an error names.
const NAMED: usize = 10;

/// What one name stands for; a directory by the place of its entries in [`Forest::directories`].
#[derive(Debug)]
pub enum Node {
    /// A directory.
    Directory(Metadata, usize),
    /// Anything else.
    Other(Inode, Option<Shared>),
}

/// Names and what they stand for, sorted by name.
pub type Entries = Vec<(Box<[u8]>, Node)>;

/// All that was found below some paths.
#[derive(Debug, Default)]
pub struct Forest {
    /// What the paths themselves are, in their order.
    pub tops: Vec<Node>,
    /// The entries of every directory. Their order means nothing.
    pub directories: Vec<Entries>,
}

/// A directory to be read.
struct Task {
    path: Arc<Path>,
    place: usize,
}

#[derive(Default)]
struct State {
    tasks: Vec<Task>,
    /// How many directories were found, read or not.
    places: usize,
    /// How many tasks threads are working on.
    busy: usize,
    /// How many threads wait for a task: waking nobody is a system call for nothing.
    waiting: usize,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

/// Reads all of `paths` and everything below them.
pub fn read(threads: usize, paths: &[&Path], policy: Policy, follow: Follow) -> Result<Forest> {
    let reader = Reader { policy };
    let queue = Queue::default();
    let mut problems = Vec::new();
    let mut tops = Vec::with_capacity(paths.len());
    {
        let mut state = queue.lock();
        for path in paths {
            match reader.path(path, follow) {
                Ok(found) => tops.push(state.add(found, || Arc::from(*path))),
                Err(problem) => problems.push(problem),
            }
        }
    }
    let results = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| scope.spawn(|| work(reader, &queue)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join())
            .collect::<Vec<_>>()
    });
    let mut directories: Vec<Entries> = Vec::new();
    directories.resize_with(queue.lock().places, Vec::new);
    for result in results {
        let (read, wrong) = result.map_err(|_| anyhow!("a thread that reads directories died"))?;
        for (place, entries) in read {
            directories[place] = entries;
        }
        problems.extend(wrong);
    }
    check(problems)?;
    Ok(Forest { tops, directories })
}

/// One thread: reads directories until none is left and none can come any more.
fn work(reader: Reader, queue: &Queue) -> (Vec<(usize, Entries)>, Vec<Problem>) {
    let mut read = Vec::new();
    let mut problems = Vec::new();
    let mut found = Vec::new();
    while let Some(task) = queue.next() {
        reader.directory(
            &task.path,
            |name, entry| found.push((name.as_encoded_bytes().into(), entry)),
            |problem| problems.push(problem),
        );
        found.sort_unstable_by(|a: &(Box<[u8]>, Found), b| a.0.cmp(&b.0));
        read.push((task.place, queue.done(&task.path, found.drain(..))));
    }
    (read, problems)
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next directory to read; waits while others may still find some.
    fn next(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop() {
                state.busy += 1;
                return Some(task);
            }
            if state.busy == 0 {
                return None;
            }
            state.waiting += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Takes what was found in the directory `path`, which is read now.
    fn done(
        &self,
        path: &Path,
        found: impl ExactSizeIterator<Item = (Box<[u8]>, Found)>,
    ) -> Entries {
        let mut entries = Vec::with_capacity(found.len());
        let mut state = self.lock();
        for (name, found) in found {
            let node = state.add(found, || path.join(as_path(&name)).into());
            entries.push((name, node));
        }
        state.busy -= 1;
        let wanted = state.waiting > 0;
        drop(state);
        if wanted {
            self.changed.notify_all();
        }
        entries
    }
}

fn as_path(name: &[u8]) -> &Path {
    Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
}

impl State {
    fn add(&mut self, found: Found, path: impl FnOnce() -> Arc<Path>) -> Node {
        match found {
            Found::Other(inode, shared) => Node::Other(inode, shared),
            Found::Directory(metadata) => {
                let place = self.places;
                self.places += 1;
                self.tasks.push(Task {
                    path: path(),
                    place,
                });
                Node::Directory(metadata, place)
            }
        }
    }
}

fn check(mut problems: Vec<Problem>) -> Result<()> {
    read::sort(&mut problems);
    let mut lines: Vec<String> = problems
        .iter()
        .take(NAMED)
        .map(|problem| {
            let Problem {
                operation,
                path,
                cause,
            } = problem;
            format!("{operation} {}: {cause}", escape::path(path))
        })
        .collect();
    match problems.len() {
        0 => return Ok(()),
        n if n > NAMED => lines.push(format!("and {} more like these", n - NAMED)),
        _ => {}
    }
    bail!("{}", lines.join("\n"))
}
