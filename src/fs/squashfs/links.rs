//! Hard links: which inodes have several names, and the first of them.

use std::collections::HashMap;

use crate::tree::{InodeId, Tree};

/// The first names of all inodes that have several.
#[derive(Debug)]
pub struct Links {
    first: HashMap<InodeId, Box<[u8]>>,
}

impl Links {
    /// Finds the inodes of `tree` with several names.
    pub fn new(tree: &Tree) -> Links {
        // 0, 1, or 2 for more.
        let mut counts = vec![0u8; tree.inodes().len()];
        tree.walk(|_, id| {
            let count = &mut counts[id.index()];
            *count = (*count + 1).min(2);
        });
        let mut first = HashMap::new();
        if counts.contains(&2) {
            tree.walk(|path, id| {
                if counts[id.index()] == 2 {
                    first.entry(id).or_insert_with(|| path.into());
                }
            });
        }
        Links { first }
    }

    /// Returns the first name of `id` if `path` is another one.
    pub fn target(&self, path: &[u8], id: InodeId) -> Option<&[u8]> {
        self.first
            .get(&id)
            .map(|first| &**first)
            .filter(|&first| first != path)
    }
}
