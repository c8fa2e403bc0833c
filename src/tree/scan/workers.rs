//! The threads of a scan and the directories they have still to read.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{Result, anyhow, bail};

use super::super::{Directory, Inode, InodeId, InsertError, Kind, SourceFile, Tree};
use super::listed::{self, Listed};
use super::policy::Policy;
use super::read::{self, Follow, Problem, Reader, Shared};
use crate::{escape, excerpt};

/// What was found below some paths. The inodes are in the tree, behind those that were there
/// before, in an order that means nothing.
#[derive(Debug)]
pub struct Scan {
    /// The first inode that was found.
    pub first: InodeId,
    /// What the paths themselves are, in their order.
    pub tops: Vec<InodeId>,
    /// Inodes that have several names, where that matters. Every name has one here.
    pub shared: HashMap<InodeId, Shared>,
}

/// A directory to be read.
struct Task {
    path: Arc<Path>,
    id: InodeId,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    shared: HashMap<InodeId, Shared>,
    tasks: Vec<Task>,
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

/// Reads all of `paths` and everything below them into `tree`; nothing there names it yet.
///
/// # Errors
/// If anything can't be read; the tree is unchanged then.
pub fn read(
    threads: usize,
    tree: &mut Tree,
    paths: &[&Path],
    policy: Policy,
    follow: Follow,
) -> Result<Scan> {
    let reader = Reader { policy };
    let first = tree.next_id()?;
    let queue = Queue::default();
    queue.lock().inodes = mem::take(&mut tree.inodes);
    let mut problems = Vec::new();
    let mut tops = Vec::with_capacity(paths.len());
    for path in paths {
        match top(reader, &queue, path, follow) {
            Ok(id) => tops.push(id),
            Err(problem) => problems.push(problem),
        }
    }
    let died = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            // With fewer it takes longer.
            .map_while(|_| {
                let work = || work(reader, &queue);
                thread::Builder::new().spawn_scoped(scope, work).ok()
            })
            .collect();
        if workers.is_empty() {
            problems.extend(work(reader, &queue));
        }
        let mut died = false;
        for worker in workers {
            match worker.join() {
                Ok(found) => problems.extend(found),
                Err(_) => died = true,
            }
        }
        died
    });
    let mut state = queue.lock();
    tree.inodes = mem::take(&mut state.inodes);
    let failure = match died {
        true => Err(anyhow!("a thread that reads directories died")),
        false => check(problems),
    };
    match failure {
        Ok(()) => Ok(Scan {
            first,
            tops,
            shared: mem::take(&mut state.shared),
        }),
        Err(error) => {
            tree.inodes.truncate(first.index());
            Err(error)
        }
    }
}

/// Reads what one of the paths itself is.
fn top(reader: Reader, queue: &Queue, path: &Path, follow: Follow) -> Result<InodeId, Problem> {
    let found = reader.path(path, follow)?;
    let shared = found.shared;
    let inode = listed::inode(found.metadata, found.what, || {
        let directory = path.parent().unwrap_or(Path::new(""));
        SourceFile::new(directory.into(), path.file_name().unwrap_or_default())
    });
    let is_directory = matches!(inode.kind, Kind::Directory(_));
    let mut state = queue.lock();
    let id = state.next_id(1).map_err(|error| refused(path, error))?;
    state.inodes.push(inode);
    if let Some(shared) = shared {
        state.shared.insert(id, shared);
    }
    if is_directory {
        let path = Arc::from(path);
        state.tasks.push(Task { path, id });
    }
    Ok(id)
}

/// One thread: reads directories until none is left and none can come any more.
fn work(reader: Reader, queue: &Queue) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut listed = Listed::default();
    while let Some(task) = queue.next() {
        let mut too_long = Ok(());
        reader.directory(
            &task.path,
            |name, found| match listed.add(name, found) {
                Ok(()) => {}
                Err(error) => too_long = Err(error),
            },
            |problem| problems.push(problem),
        );
        if let Err(error) = too_long.and(queue.done(&task, &mut listed)) {
            problems.push(refused(&task.path, error));
        }
    }
    problems
}

/// What was found does not fit into a tree.
fn refused(path: &Path, error: InsertError) -> Problem {
    Problem {
        operation: "listing",
        path: path.to_owned(),
        cause: io::Error::other(error),
    }
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

    /// Takes what was found in the directory of `task`, which is read now, out of `listed`.
    fn done(&self, task: &Task, listed: &mut Listed) -> Result<(), InsertError> {
        // Everything that takes time comes before the lock.
        let ready = listed.ready(&task.path);
        let paths: Vec<(usize, Arc<Path>)> = ready
            .directories()
            .map(|(at, name)| (at, task.path.join(OsStr::from_bytes(name)).into()))
            .collect();
        let mut state = self.lock();
        let added = state.add(task.id, ready, paths);
        state.busy -= 1;
        let wanted = state.waiting > 0;
        drop(state);
        if wanted {
            self.changed.notify_all();
        }
        added
    }
}

impl State {
    /// The first of the next `count` numbers.
    fn next_id(&self, count: usize) -> Result<InodeId, InsertError> {
        let first = self.inodes.len();
        let end = first.checked_add(count).ok_or(InsertError::Full)?;
        u32::try_from(end).map_err(|_| InsertError::Full)?;
        u32::try_from(first)
            .map(InodeId)
            .map_err(|_| InsertError::Full)
    }

    fn add(
        &mut self,
        directory: InodeId,
        ready: listed::Ready<'_>,
        paths: Vec<(usize, Arc<Path>)>,
    ) -> Result<(), InsertError> {
        let first = self.next_id(ready.inodes.len())?;
        let id = |at: usize| {
            let at = u32::try_from(at).map_err(|_| InsertError::Full)?;
            Ok(InodeId(first.0 + at))
        };
        let mut entries = Vec::with_capacity(ready.places.len());
        for (at, &name) in ready.places.iter().enumerate() {
            entries.push((name, id(at)?));
        }
        for (at, path) in paths {
            self.tasks.push(Task { path, id: id(at)? });
        }
        for &(at, shared) in &ready.shared {
            self.shared.insert(id(at)?, shared);
        }
        self.inodes.append(ready.inodes);
        self.inodes[directory.index()].kind =
            Kind::Directory(Directory::from_sorted(ready.names, entries));
        Ok(())
    }
}

fn check(mut problems: Vec<Problem>) -> Result<()> {
    read::sort(&mut problems);
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            let Problem {
                operation,
                path,
                cause,
            } = problem;
            format!("{operation} {}: {cause}", escape::path(path))
        })
        .collect();
    bail!("{}", excerpt::list(&lines, "\n"))
}
