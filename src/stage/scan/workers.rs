//! The threads of a scan and the directories they have still to read.

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

/// How many directories are read without further threads.
const FEW: usize = 8;

/// What was found at some paths. The inodes are in the tree, in an order that means nothing, and
/// without a name but for those in directories that were found.
#[derive(Debug)]
pub struct Scan {
    /// What the paths themselves are, in their order.
    pub tops: Vec<InodeId>,
    /// Inodes that have several names, where that matters. Every name has one here.
    pub shared: HashMap<InodeId, HostInode>,
}

/// A directory to be read.
struct Task {
    path: ListedPath,
    id: InodeId,
    /// Whether it is one of those that the scan is for.
    is_top: bool,
}

/// What a scan is for.
#[derive(Clone, Copy)]
pub enum Scope<'a> {
    /// The paths themselves; the last name of each is a symlink if that's what it is.
    Paths,
    /// What the paths lead to.
    Followed,
    /// What the paths lead to, directories, without the entries whose names don't pass.
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
    /// How many tasks threads are working on.
    busy: usize,
    /// How many threads wait for a task: waking nobody is a system call for nothing.
    waiting: usize,
}

struct Queue<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
}

/// Reads all of `paths` and everything below them into `tree`; nothing there names it yet.
///
/// # Errors
/// If anything can't be read; what was found till then stays in the tree without a name.
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
        match top(reader, &queue, path, scope.follow()) {
            Ok(id) => tops.push(id),
            Err(problem) => problems.push(problem),
        }
    }
    // A few directories are read sooner than threads are started.
    problems.extend(work(reader, &queue, scope, FEW));
    let threads = if queue.lock().tasks.is_empty() {
        0
    } else {
        threads
    };
    let died = thread::scope(|spawner| {
        let workers: Vec<_> = (0..threads)
            // With fewer it takes longer.
            .map_while(|_| {
                let work = || work(reader, &queue, scope, usize::MAX);
                thread::Builder::new().spawn_scoped(spawner, work).ok()
            })
            .collect();
        if workers.is_empty() {
            problems.extend(work(reader, &queue, scope, usize::MAX));
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
    if died {
        bail!("a thread that reads directories died");
    }
    check(problems)?;
    let shared = mem::take(&mut queue.lock().shared);
    Ok(Scan { tops, shared })
}

/// Reads what one of the paths itself is.
fn top(reader: Reader, queue: &Queue<'_>, path: &Path, follow: Follow) -> Result<InodeId, Problem> {
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

/// One thread: reads directories until none is left and none can come any more, or it has read
/// `most` of them.
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
        if let Err(error) = too_long.and(queue.done(&task, reader.policy, &mut entries)) {
            problems.push(refused(task.path.as_path(), error));
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

    /// Takes what was found in the directory of `task`, which is read now, out of `entries`.
    fn done(&self, task: &Task, policy: Policy, entries: &mut Entries) -> Result<(), InsertError> {
        // Everything that takes time comes before the lock.
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
        let entries: Vec<_> = sorted.places.into_iter().zip(ids).collect();
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
