//! What the threads found gets its names, and the numbers that the order of names gives it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Source;
use super::policy::{HardLinks, Policy};
use super::read::Shared;
use super::workers::Scan;
use crate::escape;
use crate::tree::{InodeId, Kind, Tree};

/// Puts what was found for each of `sources` into its place.
pub fn entries(tree: &mut Tree, sources: &[Source], scan: Scan, policy: Policy) -> Result<()> {
    let mut order = Order::new(scan.first, tree, scan.shared, policy);
    let put = || {
        for (source, top) in sources.iter().zip(scan.tops) {
            let new = order.number(top);
            tree.link(source.parent, &source.name, new)
                .with_context(|| {
                    format!(
                        "putting {} into the image as {}",
                        escape::path(&source.path),
                        escape::bytes(&source.name)
                    )
                })?;
            order.below(tree, top);
        }
        Ok(())
    };
    let result = put();
    order.renumber(tree);
    order.sort(tree);
    result
}

/// Gives what was found to the tree without a name, and returns what it is, in the order of the
/// paths.
pub fn nameless(tree: &mut Tree, scan: Scan, policy: Policy) -> Vec<InodeId> {
    let mut order = Order::new(scan.first, tree, scan.shared, policy);
    let number = |top| {
        let new = order.number(top);
        order.below(tree, top);
        new
    };
    let tops = scan.tops.into_iter().map(number).collect();
    order.renumber(tree);
    order.sort(tree);
    tops
}

/// Makes the one directory that was found the root of `tree`, which has nothing else.
pub fn root(path: &Path, mut tree: Tree, scan: Scan, policy: Policy) -> Result<Tree> {
    let Some(&top) = scan.tops.first() else {
        bail!("{} was not read", escape::path(path));
    };
    if tree.directory(top).is_none() {
        bail!("{} is not a directory", escape::path(path));
    }
    let mut order = Order::new(scan.first, &tree, scan.shared, policy);
    order.below(&tree, top);
    order.renumber(&mut tree);
    tree.inodes.swap(InodeId::ROOT.index(), top.index());
    order.sort(&mut tree);
    Ok(tree)
}

/// New numbers for the inodes of a scan.
struct Order {
    /// The first inode of the scan.
    first: InodeId,
    /// By place from the first one on: the new number, or that of the root where there is none.
    numbers: Vec<InodeId>,
    /// How many have a number of their own.
    count: u32,
    /// Places of those that are another name's inode.
    doubles: Vec<usize>,
    shared: HashMap<InodeId, Shared>,
    /// Inodes of this machine with several names, and the number that all of them get; `None`
    /// where each gets its own.
    known: HashMap<Shared, Option<InodeId>>,
}

impl Order {
    fn new(first: InodeId, tree: &Tree, shared: HashMap<InodeId, Shared>, policy: Policy) -> Order {
        let mut known = HashMap::new();
        if policy.hard_links == HardLinks::Complete {
            let mut names: HashMap<Shared, u64> = HashMap::new();
            for shared in shared.values() {
                *names.entry(*shared).or_default() += 1;
            }
            names.retain(|shared, &mut count| count < shared.links);
            known.extend(names.into_keys().map(|shared| (shared, None)));
        }
        Order {
            first,
            numbers: vec![InodeId::ROOT; tree.inodes.len() - first.index()],
            count: 0,
            doubles: Vec::new(),
            shared,
            known,
        }
    }

    /// Gives `id` its number.
    fn number(&mut self, id: InodeId) -> InodeId {
        let place = id.index() - self.first.index();
        let next = InodeId(self.first.0 + self.count);
        let number = match self.shared.get(&id) {
            None => next,
            Some(shared) => match *self.known.entry(*shared).or_insert(Some(next)) {
                None => next,
                Some(number) => number,
            },
        };
        match number == next {
            true => self.count += 1,
            false => self.doubles.push(place),
        }
        self.numbers[place] = number;
        number
    }

    /// Gives numbers to all below `top`: to the entries of a directory in their order, then below
    /// each of them.
    fn below(&mut self, tree: &Tree, top: InodeId) {
        let mut directories = vec![top];
        while let Some(id) = directories.pop() {
            let first = directories.len();
            for (_, entry) in tree.directory(id).iter().flat_map(|found| found.iter()) {
                self.number(entry);
                if tree.directory(entry).is_some() {
                    directories.push(entry);
                }
            }
            // The last of them is taken first.
            directories[first..].reverse();
        }
    }

    /// Has every directory name its entries by their new numbers.
    fn renumber(&self, tree: &mut Tree) {
        let first = self.first.index();
        for inode in &mut tree.inodes[first..] {
            if let Kind::Directory(directory) = &mut inode.kind {
                directory.renumber(|id| self.numbers[id.index() - first]);
            }
        }
    }

    /// Moves every inode to where its number says; what has none is dropped.
    fn sort(mut self, tree: &mut Tree) {
        let first = self.first;
        for &place in &self.doubles {
            self.numbers[place] = InodeId::ROOT;
        }
        let mut behind = first.0 + self.count;
        for number in &mut self.numbers {
            if *number == InodeId::ROOT {
                *number = InodeId(behind);
                behind += 1;
            }
        }
        // In place: the inodes of a large tree are most of the memory there is.
        let inodes = &mut tree.inodes[first.index()..];
        for place in 0..inodes.len() {
            while self.numbers[place].index() - first.index() != place {
                let target = self.numbers[place].index() - first.index();
                inodes.swap(place, target);
                self.numbers.swap(place, target);
            }
        }
        let kept = InodeId(first.0 + self.count);
        tree.inodes.truncate(kept.index());
    }
}
