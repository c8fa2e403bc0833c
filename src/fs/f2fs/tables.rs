//! The tables of nodes (NAT) and of segments (SIT). Of the two copies of each block, the first one is
//! valid.

use anyhow::Result;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

use super::census::node_log;
use super::geometry::{Geometry, SEGMENT};
use super::layout::{Layout, segments_of};
use super::logs::Log;
use super::nodes::Kind as NodeKind;
use super::ondisk::{BLOCK_SIZE, NAT_ENTRIES, NatBlock, SIT_ENTRIES, SitBlock};
use super::segment::View;
use super::{META_INODE, NODE_INODE};
use crate::fs::number::index;

/// The function that receives metadata: an offset in bytes, and the bytes.
pub type Emit<'a> = dyn FnMut(u64, &[u8]) -> Result<()> + 'a;

/// Collects entries of the NAT into blocks.
struct Nat<'a, 'b> {
    geometry: &'a Geometry,
    emit: &'a mut Emit<'b>,
    block: NatBlock,
    filled: usize,
    number: u32,
}

impl Nat<'_, '_> {
    fn add(&mut self, ino: u32, address: u32) -> Result<()> {
        let entry = &mut self.block.entries[self.filled];
        (entry.ino, entry.block_addr) = (U32::new(ino), U32::new(address));
        self.filled += 1;
        match self.filled < NAT_ENTRIES {
            true => Ok(()),
            false => self.flush(),
        }
    }

    fn flush(&mut self) -> Result<()> {
        // Segments of both copies alternate.
        let (segment, within) = (self.number / SEGMENT, self.number % SEGMENT);
        let address = self.geometry.nat_address() + 2 * segment * SEGMENT + within;
        (self.emit)(u64::from(address) * BLOCK_SIZE, self.block.as_bytes())?;
        self.block.zero();
        self.filled = 0;
        self.number += 1;
        Ok(())
    }
}

/// Passes the NAT to `emit`.
///
/// # Errors
/// Those of `emit`.
pub fn nat(view: &View<'_>, emit: &mut Emit<'_>) -> Result<()> {
    let mut nat = Nat {
        geometry: &view.layout.geometry,
        emit,
        block: NatBlock::new_zeroed(),
        filled: 0,
        number: 0,
    };
    nat.add(0, 0)?;
    nat.add(NODE_INODE, 1)?;
    nat.add(META_INODE, 1)?;
    for item in view.census.items() {
        let log = node_log(&view.tree.inode(item.id).kind);
        let ino = view.census.number(item.id);
        nat.add(ino, view.layout.address(log, item.node))?;
    }
    for (at, item) in view.census.items().iter().enumerate() {
        if view.census.others_of(at) == 0 {
            continue;
        }
        let log = node_log(&view.tree.inode(item.id).kind);
        let ino = view.census.number(item.id);
        let (mut own, mut indirect) = (item.node + 1, item.indirect);
        for node in view.shape(at).nodes {
            let (log, place) = match node.kind {
                NodeKind::Indirect => (Log::ColdNode, &mut indirect),
                _ => (log, &mut own),
            };
            nat.add(ino, view.layout.address(log, *place))?;
            *place += 1;
        }
    }
    match nat.filled {
        0 => Ok(()),
        _ => nat.flush(),
    }
}

/// Returns the bitmaps of the NAT blocks that are full and of those that are empty.
pub fn nat_bits(view: &View<'_>) -> [Vec<u8>; 2] {
    let blocks = index(u64::from(view.layout.geometry.nat / 2 * SEGMENT));
    let end = index(view.census.first_other() + view.census.all_nodes() - view.census.inodes());
    let (full, used) = (end / NAT_ENTRIES, end.div_ceil(NAT_ENTRIES));
    let mut bits = [vec![0; blocks / 8], vec![0; blocks / 8]];
    let mut set = |which: usize, block: usize| bits[which][block / 8] |= 1 << (block % 8);
    (0..full.min(blocks)).for_each(|block| set(0, block));
    (used..blocks).for_each(|block| set(1, block));
    bits
}

/// Passes the SIT to `emit`.
///
/// # Errors
/// Those of `emit`, or if a number is too large for its field.
pub fn sit(view: &View<'_>, emit: &mut Emit<'_>) -> Result<()> {
    let mut block = SitBlock::new_zeroed();
    let mut filled = 0;
    let mut offset = u64::from(Geometry::SIT) * BLOCK_SIZE;
    for log in Log::ALL {
        for segment in 0..u64::from(segments_of(view.census, log).unwrap_or(0)) {
            let used = Layout::used(view.census, log, segment);
            let entry = &mut block.entries[filled];
            let kind = u16::try_from(log.index())?;
            entry.vblocks = U16::new(kind << 10 | u16::try_from(used)?);
            entry.valid_map[..used / 8].fill(0xff);
            if !used.is_multiple_of(8) {
                entry.valid_map[used / 8] = !(0xff >> (used % 8));
            }
            filled += 1;
            if filled == SIT_ENTRIES {
                emit(offset, block.as_bytes())?;
                block.zero();
                filled = 0;
                offset += BLOCK_SIZE;
            }
        }
    }
    match filled {
        0 => Ok(()),
        _ => emit(offset, block.as_bytes()),
    }
}
