//! Summaries of segments: which node each block belongs to.

use anyhow::Result;
use zerocopy::FromZeros;
use zerocopy::little_endian::U32;

use super::INODE_BLOCKS;
use super::geometry::SEGMENT;
use super::logs::Log;
use super::nodes::{self, Kind as NodeKind};
use super::ondisk::{POINTERS, Summary, SummaryBlock};
use super::segment::{Shape, View};
use crate::fs::number::{index, le16};

/// `SUM_TYPE_NODE`.
const NODE: u8 = 1;

/// Returns the summary of segment `segment` of `log`.
///
/// # Errors
/// If a number is too large for its field.
pub fn block(view: &View<'_>, log: Log, segment: u64) -> Result<SummaryBlock> {
    let mut block = SummaryBlock::new_zeroed();
    if !log.has_nodes() {
        data(view, log, segment, &mut block)?;
        return Ok(block);
    }
    block.entry_type = NODE;
    let mut entries = block.entries.iter_mut();
    view.nodes_in(log, segment, true, &mut |placed| {
        if let Some(entry) = entries.next() {
            entry.nid = U32::new(placed.nid);
        }
        Ok(())
    })?;
    Ok(block)
}

fn data(view: &View<'_>, log: Log, segment: u64, block: &mut SummaryBlock) -> Result<()> {
    let Some(first) = view.census.mark(log, segment) else {
        return Ok(());
    };
    let start = segment * u64::from(SEGMENT);
    let end = (start + u64::from(SEGMENT)).min(view.census.blocks(log));
    for (at, item) in view.census.items().iter().enumerate().skip(first) {
        let place = u64::from(item.data);
        if item.data_log != log {
            continue;
        }
        if place >= end {
            break;
        }
        let shape = view.shape(at);
        let from = start.saturating_sub(place);
        let to = (end - place).min(nodes::length(&shape.runs));
        fill(view, at, &shape, from..to, place, start, block)?;
    }
    Ok(())
}

/// Enters the data blocks `range` of an inode, whose first block is at `place` in the log.
fn fill(
    view: &View<'_>,
    at: usize,
    shape: &Shape,
    range: std::ops::Range<u64>,
    place: u64,
    start: u64,
    block: &mut SummaryBlock,
) -> Result<()> {
    let item = &view.census.items()[at];
    for run in &shape.runs {
        let mut next = run.index.max(range.start);
        let end = (run.index + run.length).min(range.end);
        while next < end {
            let logical = run.first + (next - run.index);
            let (nid, offset, last) = match logical.checked_sub(INODE_BLOCKS) {
                None => (view.census.number(item.id), logical, INODE_BLOCKS),
                Some(beyond) => {
                    // usize to u64: lossless.
                    let each = POINTERS as u64;
                    let first = logical - beyond % each;
                    (owner(view, at, shape, first), beyond % each, first + each)
                }
            };
            let count = (last - logical).min(end - next);
            for step in 0..count {
                block.entries[index(place + next + step - start)] = Summary {
                    nid: U32::new(nid),
                    version: 0,
                    ofs_in_node: le16(offset + step)?,
                };
            }
            next += count;
        }
    }
    Ok(())
}

/// Returns the number of the direct node for the blocks from `first` on.
fn owner(view: &View<'_>, at: usize, shape: &Shape, first: u64) -> u32 {
    let from = shape.nodes.partition_point(|node| node.first < first);
    let mut others = (0u32..).zip(&shape.nodes).skip(from);
    let found = others.find(|(_, node)| node.kind == NodeKind::Direct);
    found.map_or(0, |(number, _)| view.nid(&view.census.items()[at], number))
}
