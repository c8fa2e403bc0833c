//! Examining a tree: what squashfs can't store, and how much work it is.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::limits;
use super::links::Links;
use crate::escape;
use crate::fs::{Options, PlanError};
use crate::tree::{Kind, Tree};

/// Owners and groups have 16-bit indices into one table, whose length must also fit.
const MOST_IDS: usize = u16::MAX as usize; // u16 to usize: lossless

/// `sqfstar` compares each file with all others of the same length that came before, and each name
/// with all others in its directory, at about this many per second.
const COMPARISONS_PER_SECOND: u64 = 20_000_000;

/// From this number of comparisons on, duplicates are not searched for.
const MOST_COMPARISONS: u64 = 1_000_000_000;

/// What is known about a tree before `sqfstar` runs.
#[derive(Debug)]
pub struct Census {
    /// Number of inodes.
    pub inodes: u64,
    /// The inodes with several names.
    pub links: Links,
    /// Whether `sqfstar` should search for files with the same contents.
    pub duplicates: bool,
    /// How long `sqfstar` may take.
    pub limit: Duration,
}

impl Census {
    /// Examines `tree`.
    ///
    /// # Errors
    /// [`PlanError::Unrepresentable`] with everything that squashfs can't store.
    pub fn new(tree: &Tree, options: &Options, block_size: u32) -> Result<Census, PlanError> {
        let mut problems = Vec::new();
        if u32::try_from(options.time.seconds).is_err() {
            problems.push(format!(
                "the file system's own time is {} s after 1970; squashfs's range is 0 to {}",
                options.time.seconds,
                u32::MAX
            ));
        }
        if let Some(path) = tree.hard_linked_directory() {
            problems.push(format!(
                "/{}: a hard link to a directory",
                escape::bytes(&path)
            ));
            return Err(PlanError::Unrepresentable(problems));
        }
        let links = Links::new(tree);
        let mut seen = vec![false; tree.inodes().len()];
        let mut found = Found::default();
        found.inode(
            tree.inode(crate::tree::InodeId::ROOT),
            b"",
            block_size,
            &mut problems,
        );
        tree.walk(|path, id| {
            let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
            if let Some(problem) = limits::name(last) {
                problems.push(format!("/{}: {problem}", escape::bytes(path)));
            }
            if !std::mem::replace(&mut seen[id.index()], true) {
                found.inode(tree.inode(id), path, block_size, &mut problems);
            }
        });
        if found.ids.len() > MOST_IDS {
            problems.push(format!(
                "the files have {} different owners and groups; squashfs's limit is {MOST_IDS}",
                found.ids.len()
            ));
        }
        match problems.is_empty() {
            true => Ok(found.census(links)),
            false => Err(PlanError::Unrepresentable(problems)),
        }
    }
}

#[derive(Default)]
struct Found {
    inodes: u64,
    bytes: u64,
    ids: HashSet<u32>,
    /// Comparisons of names.
    names: u64,
    /// Number of files by length.
    lengths: HashMap<u64, u64>,
}

impl Found {
    fn inode(
        &mut self,
        inode: &crate::tree::Inode,
        path: &[u8],
        block_size: u32,
        problems: &mut Vec<String>,
    ) {
        limits::inode(inode, block_size, &mut |problem| {
            problems.push(format!("/{}: {problem}", escape::bytes(path)));
        });
        self.inodes += 1;
        self.ids.extend([inode.metadata.uid, inode.metadata.gid]);
        match &inode.kind {
            Kind::Directory(directory) => {
                // usize to u64: lossless.
                self.names = self.names.saturating_add(pairs(directory.len() as u64));
            }
            Kind::File(content) if content.size > 0 => {
                self.bytes = self.bytes.saturating_add(content.size);
                *self.lengths.entry(content.size).or_default() += 1;
            }
            _ => {}
        }
    }

    fn census(self, links: Links) -> Census {
        let same = self
            .lengths
            .values()
            .fold(0u64, |sum, &count| sum.saturating_add(pairs(count)));
        let duplicates = same <= MOST_COMPARISONS;
        let comparisons = self.names.saturating_add(if duplicates { same } else { 0 });
        // xz compresses at least a MiB per second on one core of a slow machine.
        let seconds = 600 + self.bytes / (1 << 20) + comparisons / COMPARISONS_PER_SECOND;
        Census {
            inodes: self.inodes,
            links,
            duplicates,
            limit: Duration::from_secs(seconds),
        }
    }
}

/// Returns the number of pairs among `count` things.
fn pairs(count: u64) -> u64 {
    count.saturating_mul(count.saturating_sub(1)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Directory, Inode, InodeId, Metadata, Timestamp};

    fn options() -> Options {
        Options {
            uuid: uuid::Uuid::nil(),
            label: String::new(),
            time: Timestamp::STORE,
        }
    }

    #[test]
    fn many_files_of_one_length_are_not_compared() {
        let mut tree = Tree::new(Metadata::new(0o755));
        let file = Inode {
            metadata: Metadata::new(0o644),
            kind: Kind::File(Content::bytes(b"x".to_vec())),
        };
        for number in 0..44_721 {
            let name = format!("{number:05}");
            tree.insert(InodeId::ROOT, name.as_bytes(), file.clone())
                .unwrap();
        }
        let census = Census::new(&tree, &options(), 1 << 20).unwrap();
        assert!(census.duplicates);
        assert_eq!(census.inodes, 44_722);
        assert_eq!(census.limit.as_secs(), 600 + 99);
        tree.insert(InodeId::ROOT, b"x", file.clone()).unwrap();
        tree.insert(InodeId::ROOT, b"y", file).unwrap();
        let census = Census::new(&tree, &options(), 1 << 20).unwrap();
        assert!(!census.duplicates);
        assert_eq!(census.limit.as_secs(), 600 + 50);
    }

    #[test]
    fn a_directory_with_two_names_is_reported() {
        let mut tree = Tree::new(Metadata::new(0o755));
        let directory = Inode {
            metadata: Metadata::new(0o755),
            kind: Kind::Directory(Directory::default()),
        };
        let top = tree.insert(InodeId::ROOT, b"top", directory).unwrap();
        tree.link(top, b"loop", top).unwrap();
        let Err(PlanError::Unrepresentable(problems)) = Census::new(&tree, &options(), 4096) else {
            panic!("a cycle was followed");
        };
        assert_eq!(problems, ["/top/loop: a hard link to a directory"]);
    }
}
