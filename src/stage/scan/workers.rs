//! The threads of a scan and their queue of directories.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Result, bail};

use super::entries::{self, Entries};
use super::policy::Policy;
use super::read::{self, Follow, HostInode, Problem, Reader};
use crate::tree::{Directory, InodeId, InsertError, Kind, ListedPath, SourceFile, Tree};
use crate::{escape, excerpt};

/// How many directories are read before further threads are started, as long as there is only one to
/// read: then a thread would have nothing to do. A second one may be large, so it is not left to wait.
const FEW: usize = 8;

/// The result of a scan. The inodes are in the tree, in no particular order; the top ones have no
/// name yet.
#[derive(Debug)]
pub struct Scan {
    /// The inodes of the scanned paths, in the same order.
    pub tops: Vec<InodeId>,
    /// Inodes with several hard links, if the policy needs them. Each name still has its own inode.
    pub shared: HashMap<InodeId, HostInode>,
}

/// A directory to be read.
struct Task {
    path: ListedPath,
    id: InodeId,
    /// Whether it is one of the scanned paths itself.
    is_top: bool,
}

/// What a scan reads.
#[derive(Clone, Copy)]
pub enum Scope<'a> {
    /// The paths; a symlink at the end of a path is not followed.
    Paths,
    /// The paths; a symlink at the end of a path is followed.
    Followed,
    /// Those entries of the directories at the paths whose names pass the filter; symlinks at the
    /// end of a path are followed.
    Entries(&'a (dyn Fn(&[u8]) -> bool + Sync)),
}

impl Scope<'_> {
    fn follow(self) -> Follow {
        match self {
            Scope::Paths => Follow::No,
            Scope::Followed | Scope::Entries(_) => Follow::Yes,
        }
    }
}

struct State<'a> {
    tree: &'a mut Tree,
    shared: HashMap<InodeId, HostInode>,
    tasks: Vec<Task>,
    /// How many tasks are in progress.
    busy: usize,
    /// How many threads wait for a task; without any, the system call to wake them is skipped.
    waiting: usize,
}

struct Queue<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
}

/// Reads all of `paths` and everything below them into `tree`, without giving the top inodes a
/// name.
///
/// # Errors
/// If anything cannot be read. What has been read so far stays in the tree without a name.
pub fn read(
    threads: usize,
    tree: &mut Tree,
    paths: &[&Path],
    policy: Policy,
    scope: Scope<'_>,
) -> Result<Scan> {
    let reader = Reader { policy };
    let queue = Queue::new(tree);
    let mut problems = Vec::new();
    let mut tops = Vec::with_capacity(paths.len());
    for path in paths {
        match read_top(reader, &queue, path, scope.follow()) {
            Ok(id) => tops.push(id),
            Err(problem) => problems.push(problem),
        }
    }
    // Reading a few directories is faster than starting threads.
    for _ in 0..FEW {
        if queue.lock().tasks.len() > 1 {
            break;
        }
        problems.extend(work(reader, &queue, scope, 1));
    }
    let threads = if queue.lock().tasks.is_empty() {
        0
    } else {
        threads
    };
    let panicked = thread::scope(|spawner| {
        let workers: Vec<_> = (0..threads)
            // If a thread cannot be started, the others do its work.
            .map_while(|_| {
                let work = || work(reader, &queue, scope, usize::MAX);
                thread::Builder::new().spawn_scoped(spawner, work).ok()
            })
            .collect();
        if workers.is_empty() {
            problems.extend(work(reader, &queue, scope, usize::MAX));
        }
        let mut panicked = false;
        for worker in workers {
            match worker.join() {
                Ok(found) => problems.extend(found),
                Err(_) => panicked = true,
            }
        }
        panicked
    });
    if panicked {
        bail!("a thread that reads directories panicked");
    }
    check(problems)?;
    let shared = mem::take(&mut queue.lock().shared);
    Ok(Scan { tops, shared })
}

/// Reads one of the scanned paths, without its entries.
fn read_top(
    reader: Reader,
    queue: &Queue<'_>,
    path: &Path,
    follow: Follow,
) -> Result<InodeId, Problem> {
    let found = reader.path(path, follow)?;
    let shared = found.shared;
    let inode = entries::inode(found.metadata, found.kind, |time| {
        let directory = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or_default();
        SourceFile::checked(directory, name, reader.policy.change_check, time)
    });
    let is_directory = matches!(inode.kind, Kind::Directory(_));
    let mut state = queue.lock();
    let id = state.tree.push(inode);
    let id = id.map_err(|error| refused(path, error))?;
    if let Some(shared) = shared {
        state.shared.insert(id, shared);
    }
    if is_directory {
        let path = match follow {
            Follow::Yes => ListedPath::followed(path),
            Follow::No => ListedPath::new(path),
        };
        state.tasks.push(Task {
            path,
            id,
            is_top: true,
        });
    }
    Ok(id)
}

/// The loop of one thread: reads directories until none is left and no other thread can add one, or
/// until it has read `most` of them.
fn work(reader: Reader, queue: &Queue<'_>, scope: Scope<'_>, most: usize) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut entries = Entries::default();
    for _ in 0..most {
        let Some(task) = queue.next() else { break };
        let mut too_long = Ok(());
        reader.directory(
            task.path.as_path(),
            |name| match scope {
                Scope::Entries(is_wanted) if task.is_top => is_wanted(name),
                _ => true,
            },
            |name, found| match entries.add(name, found) {
                Ok(()) => {}
                Err(error) => too_long = Err(error),
            },
            |problem| problems.push(problem),
        );
        if let Err(error) = too_long.and(queue.finish(&task, reader.policy, &mut entries)) {
            problems.push(refused(task.path.as_path(), error));
        }
    }
    problems
}

/// The problem of an entry that does not fit into a tree.
fn refused(path: &Path, error: InsertError) -> Problem {
    Problem {
        operation: "listing",
        path: path.to_owned(),
        cause: io::Error::other(error),
    }
}

impl<'a> Queue<'a> {
    fn new(tree: &'a mut Tree) -> Queue<'a> {
        Queue {
            state: Mutex::new(State {
                tree,
                shared: HashMap::new(),
                tasks: Vec::new(),
                busy: 0,
                waiting: 0,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the next directory to read; waits while other threads may still find some.
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

    /// Adds `entries`, the contents of the directory of `task`, to the tree, and queues its
    /// subdirectories.
    fn finish(
        &self,
        task: &Task,
        policy: Policy,
        entries: &mut Entries,
    ) -> Result<(), InsertError> {
        // Slow work is done before taking the lock.
        let sorted = entries.sorted(&task.path, policy.change_check);
        let paths: Vec<(usize, ListedPath)> = sorted
            .directories()
            .map(|(at, name)| (at, task.path.join(OsStr::from_bytes(name))))
            .collect();
        let mut state = self.lock();
        let added = state.add(task.id, sorted, paths);
        state.busy -= 1;
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
        added
    }
}

impl State<'_> {
    fn add(
        &mut self,
        directory: InodeId,
        sorted: entries::Sorted<'_>,
        paths: Vec<(usize, ListedPath)>,
    ) -> Result<(), InsertError> {
        let ids = self.tree.append(sorted.inodes)?;
        let entries: Vec<_> = sorted.positions.into_iter().zip(ids).collect();
        self.tasks.extend(paths.into_iter().map(|(at, path)| Task {
            path,
            id: entries[at].1,
            is_top: false,
        }));
        let shared = sorted.shared.into_iter();
        self.shared
            .extend(shared.map(|(at, inode)| (entries[at].1, inode)));
        self.tree.inode_mut(directory).kind =
            Kind::Directory(Directory::from_sorted(sorted.names, entries));
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
