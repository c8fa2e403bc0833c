//! Generation of the nodes in a segment.

use anyhow::Result;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::census::{Census, Item, node_log};
use super::geometry::SEGMENT;
use super::layout::Layout;
use super::logs::Log;
use super::nodes::{self, Kind as NodeKind, Node, Run};
use super::ondisk::{BLOCK_SIZE, DirectNode, NodeFooter, XattrNode, put};
use super::{INLINE_XATTR, inode, xattr};
use crate::fs::number::{index, le32};
use crate::fs::source::Opener;
use crate::tree::{Kind, Tree};

/// The version of the checkpoint at which `mkfs.f2fs` says to have written nodes. It differs from
/// that of every checkpoint, so that no node is mistaken for a later one.
const NODE_VERSION: u64 = 1;

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

/// A node in a log.
pub struct Placed<'a> {
    /// The index of its inode.
    pub at: usize,
    /// The blocks of that.
    pub shape: &'a Shape,
    /// Its index among the nodes of the inode; `None` for the inode itself.
    pub node: Option<usize>,
    /// Its number.
    pub nid: u32,
    /// Its place in the log.
    pub place: u32,
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

    /// Passes the nodes of the inode with the index `at` that are in `log` to `visit`, in order.
    pub fn nodes_of(
        &self,
        at: usize,
        log: Log,
        shape: &Shape,
        visit: &mut dyn FnMut(&Placed<'_>) -> Result<()>,
    ) -> Result<()> {
        let item = &self.census.items()[at];
        let own = node_log(&self.tree.inode(item.id).kind);
        let mut place = item.indirect;
        if log == own {
            place = item.node;
            let nid = self.census.number(item.id);
            visit(&Placed {
                at,
                shape,
                node: None,
                nid,
                place,
            })?;
            place += 1;
        }
        for (number, (index, node)) in (0u32..).zip(shape.nodes.iter().enumerate()) {
            let is_indirect = node.kind == NodeKind::Indirect;
            let found = if is_indirect { Log::ColdNode } else { own };
            if found == log {
                let nid = self.nid(item, number);
                visit(&Placed {
                    at,
                    shape,
                    node: Some(index),
                    nid,
                    place,
                })?;
                place += 1;
            }
        }
        Ok(())
    }

    /// Passes the nodes in segment `segment` of `log` to `visit`, in order. Shapes of inodes without
    /// other nodes are left out if `only_nodes` is set.
    pub fn nodes_in(
        &self,
        log: Log,
        segment: u64,
        only_nodes: bool,
        visit: &mut dyn FnMut(&Placed<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(first) = self.census.mark(log, segment) else {
            return Ok(());
        };
        let start = segment * u64::from(SEGMENT);
        let end = (start + u64::from(SEGMENT)).min(self.census.blocks(log));
        let mut next = start;
        for (at, item) in self.census.items().iter().enumerate().skip(first) {
            if next >= end {
                break;
            }
            let others = self.census.others_of(at);
            let is_here = node_log(&self.tree.inode(item.id).kind) == log;
            if !is_here && (others == 0 || log != Log::ColdNode) {
                continue;
            }
            let shape = match only_nodes && others == 0 {
                true => Shape::default(),
                false => self.shape(at),
            };
            self.nodes_of(at, log, &shape, &mut |placed| {
                let place = u64::from(placed.place);
                if place < start || place >= end {
                    return Ok(());
                }
                next = place + 1;
                visit(placed)
            })?;
        }
        Ok(())
    }

    /// Generates the nodes in segment `segment` of `log`.
    ///
    /// # Errors
    /// If a small file can't be read, or a number is too large for its field.
    pub fn segment(&self, log: Log, segment: u64, opener: &mut Opener) -> Result<Vec<u8>> {
        let used = Layout::used(self.census, log, segment);
        let mut bytes = Vec::with_capacity(used * index(BLOCK_SIZE));
        self.nodes_in(log, segment, false, &mut |placed| {
            self.node(log, placed, opener, &mut bytes)
        })?;
        Ok(bytes)
    }

    fn node(
        &self,
        log: Log,
        placed: &Placed<'_>,
        opener: &mut Opener,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let item = &self.census.items()[placed.at];
        let inode = self.tree.inode(item.id);
        let is_file = !matches!(inode.kind, Kind::Directory(_));
        let node = placed.node.and_then(|node| placed.shape.nodes.get(node));
        let offset = node.map_or(0, |node| node.offset);
        let address = u64::from(self.layout.address(log, placed.place));
        let footer = NodeFooter {
            nid: U32::new(placed.nid),
            ino: U32::new(self.census.number(item.id)),
            flag: U32::new(offset << 3 | u32::from(is_file)),
            cp_ver: U64::new(NODE_VERSION),
            next_blkaddr: le32(address + 1)?,
        };
        let Some(node) = node else {
            let mut block = inode::encode(self, placed.at, placed.shape, opener)?;
            block.footer = footer;
            out.extend_from_slice(block.as_bytes());
            return Ok(());
        };
        if node.kind == NodeKind::Xattr {
            let mut block = XattrNode::new_zeroed();
            let stream = xattr::stream(&inode.metadata.xattrs).unwrap_or_default();
            put(
                &mut block.xattrs,
                0,
                stream.get(INLINE_XATTR..).unwrap_or(&[]),
            );
            block.footer = footer;
            out.extend_from_slice(block.as_bytes());
            return Ok(());
        }
        let mut block = DirectNode::new_zeroed();
        block.footer = footer;
        if node.kind == NodeKind::Direct {
            let data = self.layout.address(item.data_log, item.data);
            nodes::fill(&placed.shape.runs, node.first, data, &mut block.addr);
        } else {
            for (number, other) in (0u32..).zip(&placed.shape.nodes) {
                if other.parent.is_some() && other.parent == placed.node {
                    block.addr[other.slot] = U32::new(self.nid(item, number));
                }
            }
        }
        out.extend_from_slice(block.as_bytes());
        Ok(())
    }
}
