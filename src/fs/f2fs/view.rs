//! A tree together with its places in a file system.

use super::census::{Census, Item};
use super::layout::Layout;
use super::nodes::{Node, Run};
use crate::tree::Tree;

/// A tree and its places in a file system.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub tree: &'a Tree,
    pub census: &'a Census,
    pub layout: &'a Layout,
}

/// The blocks of an inode.
#[derive(Default)]
pub struct Shape {
    /// Its data.
    pub runs: Vec<Run>,
    /// Its nodes besides itself.
    pub nodes: Vec<Node>,
}

impl View<'_> {
    /// Returns the number of the node with the index `node` among those of `item`.
    pub fn nid(&self, item: &Item, node: u32) -> u32 {
        // The census has checked that numbers have 32 bits.
        let first = u32::try_from(self.census.first_other()).unwrap_or(u32::MAX);
        first.saturating_add(item.others).saturating_add(node)
    }

    /// Returns the blocks of the inode with the index `at`.
    pub fn shape(&self, at: usize) -> Shape {
        let runs = self.census.runs(self.tree, at);
        let nodes = self.census.nodes(self.tree, at, &runs);
        Shape { runs, nodes }
    }
}
