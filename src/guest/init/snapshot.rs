//! What is on the root file system, to know later what changed.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::target::VIEW;
use crate::escape;
use crate::guest::job::Job;
use crate::guest::protected::Protected;

/// What makes one state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    mtime: (i64, i64),
    /// Nobody can set it: it tells every change.
    ctime: (i64, i64),
}

impl State {
    /// The state that `stat` shows.
    pub fn of(stat: &Metadata) -> State {
        State {
            inode: stat.ino(),
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            size: stat.size(),
            mtime: (stat.mtime(), stat.mtime_nsec()),
            ctime: (stat.ctime(), stat.ctime_nsec()),
        }
    }
}

/// The state of everything outside of the store, by path.
pub fn take(job: &Job) -> Result<HashMap<PathBuf, State>> {
    let mut states = HashMap::new();
    walk(Path::new(VIEW), &excluded(job), &mut |path, stat| {
        states.insert(path.to_owned(), State::of(stat));
        Ok(())
    })?;
    Ok(states)
}

/// What is not looked at on the root file system, relative to it.
pub fn excluded(job: &Job) -> [PathBuf; 3] {
    Protected::new(Path::new(&job.store)).paths().clone()
}

/// Calls `visit` with every path below `top`, relative to it, and first with the empty one: parents
/// first, names sorted. What is in the directories `excluded` is left out, and they are themselves.
pub fn walk(
    top: &Path,
    excluded: &[PathBuf],
    visit: &mut dyn FnMut(&Path, &Metadata) -> Result<()>,
) -> Result<()> {
    // A stack and not recursion: the tree may be deeper than the thread's stack.
    let mut stack = vec![PathBuf::new()];
    while let Some(path) = stack.pop() {
        if excluded.contains(&path) {
            continue;
        }
        let here = if path.as_os_str().is_empty() {
            top.to_owned()
        } else {
            top.join(&path)
        };
        let name = || format!("reading {} in the image", escape::path(&path));
        let stat = fs::symlink_metadata(&here).with_context(name)?;
        visit(&path, &stat)?;
        if !stat.is_dir() {
            continue;
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&here).with_context(name)? {
            names.push(entry.with_context(name)?.file_name());
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        stack.extend(names.iter().map(|entry| path.join(entry)));
    }
    Ok(())
}
