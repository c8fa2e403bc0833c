//! Allocation of clusters for everything in a tree, in the order of a walk and without gaps. This
//! module does not access any file.

use std::ops::Range;

use super::alias::Aliases;
use super::entry::{Entry, SLOT, Slot};
use super::geometry::{FIRST, Geometry};
use super::names::{MAX_ENTRIES, too_full};
use crate::escape;
use crate::tree::{Inode, InodeId, Kind, Tree};

/// A tree with clusters allocated for everything in it.
#[derive(Debug)]
pub(super) struct Placed {
    /// All directories, the root directory first.
    pub directories: Vec<Directory>,
    /// The files that are not empty, and their clusters.
    pub files: Vec<(InodeId, Range<u64>)>,
    /// The cluster after the last one in use.
    pub end: u64,
}

/// A directory with its clusters.
#[derive(Debug)]
pub(super) struct Directory {
    /// Its clusters in order; empty for a root directory in a fixed place.
    pub chain: Vec<u64>,
    /// Its entries.
    pub slots: Vec<Slot>,
}

/// Allocates clusters for everything in `tree`. If there are too few, the last ones lie beyond the
/// end of the file system. The root directory begins with `label`.
///
/// # Errors
/// Returns a line for each directory with too many entries.
pub(super) fn place(tree: &Tree, geometry: &Geometry, label: Slot) -> Result<Placed, Vec<String>> {
    let mut placer = Placer {
        slots: geometry.cluster / SLOT,
        fixed_root: geometry.root_entries.is_some(),
        directories: Vec::new(),
        files: Vec::new(),
        end: FIRST,
    };
    placer.directory(vec![label]);
    let mut problems = Vec::new();
    let mut path = Vec::new();
    // An explicit stack: recursion in a hostile tree could overflow the thread's stack.
    let mut stack = vec![Open::new(tree, InodeId::ROOT, 0, 0)];
    while let Some(open) = stack.last_mut() {
        path.truncate(open.path);
        let number = open.number;
        let Some((name, id)) = tree.directory(open.id).and_then(|d| d.nth(open.next)) else {
            if placer.directories[number].slots.len() > MAX_ENTRIES {
                problems.push(format!("  /{}: {}", escape::bytes(&path), too_full()));
            }
            stack.pop();
            continue;
        };
        open.next += 1;
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        // Names were checked: they are UTF-8.
        let name = String::from_utf8_lossy(name);
        let made = placer.entry(number, &name, &mut open.aliases, (id, tree.inode(id)));
        if let Some(number) = made {
            stack.push(Open::new(tree, id, number, path.len()));
        }
    }
    match problems.is_empty() {
        true => Ok(Placed {
            directories: placer.directories,
            files: placer.files,
            end: placer.end,
        }),
        false => Err(problems),
    }
}

/// A directory whose entries are being placed.
struct Open {
    id: InodeId,
    /// Its number in [`Placed::directories`].
    number: usize,
    aliases: Aliases,
    /// The next entry to place.
    next: usize,
    /// Length of the path of the directory.
    path: usize,
}

impl Open {
    fn new(tree: &Tree, id: InodeId, number: usize, path: usize) -> Open {
        let entries = tree.directory(id).into_iter().flat_map(|d| d.iter());
        Open {
            id,
            number,
            aliases: Aliases::of(entries.map(|(name, _)| String::from_utf8_lossy(name))),
            next: 0,
            path,
        }
    }
}

struct Placer {
    /// Number of entries that fit in a cluster.
    slots: u64,
    /// Whether the root directory has a fixed place rather than a chain of clusters.
    fixed_root: bool,
    directories: Vec<Directory>,
    files: Vec<(InodeId, Range<u64>)>,
    end: u64,
}

impl Placer {
    /// Adds an entry to the directory `parent` and allocates clusters for its file or directory.
    /// Returns the number of the directory if it is one.
    fn entry(
        &mut self,
        parent: usize,
        name: &str,
        aliases: &mut Aliases,
        (id, inode): (InodeId, &Inode),
    ) -> Option<usize> {
        let alias = aliases.next(name);
        let name: Vec<u16> = name.encode_utf16().collect();
        let mut entry = Entry {
            directory: false,
            cluster: 0,
            size: 0,
            time: inode.metadata.mtime.seconds,
        };
        let mut made = None;
        if let Kind::File(content) = &inode.kind {
            let first = self.end;
            self.end += content.size.div_ceil(self.slots * SLOT);
            // Sizes were checked: they fit in 32 bits.
            entry.size = u32::try_from(content.size).unwrap_or(u32::MAX);
            if self.end > first {
                entry.cluster = number(first);
                self.files.push((id, first..self.end));
            }
        } else {
            entry.directory = true;
            entry.cluster = number(self.end);
            let up = match parent {
                0 => 0,
                parent => self.directories[parent]
                    .chain
                    .first()
                    .map_or(0, |&n| number(n)),
            };
            let dots = [(b".          ", entry.cluster), (b"..         ", up)];
            let dots = dots.map(|(name, cluster)| {
                let dot = Entry { cluster, ..entry };
                zerocopy::transmute!(dot.short(name, 0))
            });
            made = Some(self.directory(dots.to_vec()));
        }
        let slots = entry.slots(&name, &alias);
        self.directories[parent].slots.extend(slots);
        // As with mtools, a directory is extended after clusters were allocated for its new entry.
        self.make_room(parent);
        made
    }

    /// Adds a directory that contains `slots`.
    fn directory(&mut self, slots: Vec<Slot>) -> usize {
        let number = self.directories.len();
        let chain = Vec::new();
        self.directories.push(Directory { chain, slots });
        self.make_room(number);
        number
    }

    /// Allocates the clusters that a directory's entries need.
    fn make_room(&mut self, number: usize) {
        if number == 0 && self.fixed_root {
            return;
        }
        let directory = &mut self.directories[number];
        // usize to u64: lossless on every target Rust has.
        let needed = (directory.slots.len() as u64).div_ceil(self.slots);
        while (directory.chain.len() as u64) < needed {
            directory.chain.push(self.end);
            self.end += 1;
        }
    }
}

/// Converts a cluster number to 32 bits. A larger one lies beyond the end, so that no file system
/// is made.
fn number(cluster: u64) -> u32 {
    u32::try_from(cluster).unwrap_or(u32::MAX)
}
