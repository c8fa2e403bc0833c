//! How long a file system has to be: block groups, tables, journal, as the crate places them.
//!
//! Formats: "Layout" and "Block and Inode Allocation Policy" in the kernel's ext4 documentation;
//! the defaults are those of `mkfs.ext4(8)` and `mke2fs.conf(5)`.

use super::need::{Allocation, Need, allocation};

/// Blocks of a group: as many as one bitmap block has bits.
pub const GROUP: u64 = 32768;
/// Groups whose tables are together at the beginning of the first of them.
const FLEX: u64 = 16;
/// Inodes in a block of a table.
const INODES_IN_BLOCK: u64 = 4096 / 256;
/// Most blocks of a group's inode table: its bitmap is one block.
const TABLE_MAX: u64 = 2048;
/// The same where flex groups are complete: with more, their tables would reach the backup in the
/// group behind, and the crate keeps these apart only in part.
const TABLE_MAX_FLEX: u64 = 2045;
/// Least blocks the crate takes: its least journal may be a quarter of them.
const LEAST: u64 = 4096;
/// One more than the most blocks the crate takes: it has no 64-bit block numbers.
const BEYOND: u64 = (1 << 32) - 1;
/// Share of blocks for root, in percent.
const RESERVED: u64 = 5;
/// Entries in a block of extents.
const EXTENTS_IN_BLOCK: u64 = (4096 - 12) / 12;
/// Extents an inode has room for.
const EXTENTS_IN_INODE: u64 = 4;

/// Where the tables of a file system are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// Its blocks: those asked for, less a last group that is too short to be of use.
    pub blocks: u64,
    /// Its block groups.
    pub groups: u64,
    /// Blocks of each group's inode table.
    pub table: u64,
    /// Blocks of the journal.
    pub journal: u64,
}

impl Geometry {
    /// The geometry of a file system of `blocks` blocks with inodes for `need`; `None` where there
    /// can be none.
    pub fn of(blocks: u64, need: &Need) -> Option<Geometry> {
        // What is free later needs inodes as well.
        let spare =
            blocks.saturating_sub(need.least() + journal(blocks)) / per_inode(blocks).max(4);
        let inodes = default_inodes(blocks).max(need.inodes + spare);
        let mut geometry = Geometry::with(blocks, inodes);
        let last = geometry.blocks % GROUP;
        let group = geometry.groups.saturating_sub(1);
        // The rule of mke2fs, so that no group consists of its tables alone.
        let overhead = 2 + geometry.table + geometry.backup(group) + 50;
        if geometry.groups > 1 && last > 0 && last < overhead {
            geometry = Geometry::with(blocks - last, inodes);
        }
        let possible =
            (LEAST..BEYOND).contains(&geometry.blocks) && need.inodes <= geometry.inodes();
        possible.then_some(geometry)
    }

    fn with(blocks: u64, inodes: u64) -> Geometry {
        let groups = blocks.div_ceil(GROUP).max(1);
        let most = match groups {
            0..FLEX => TABLE_MAX,
            _ => TABLE_MAX_FLEX,
        };
        let table = inodes.div_ceil(groups).div_ceil(INODES_IN_BLOCK);
        Geometry {
            blocks,
            groups,
            table: table.clamp(1, most),
            journal: journal(blocks),
        }
    }

    /// Inodes in all.
    pub fn inodes(&self) -> u64 {
        self.groups * self.table * INODES_IN_BLOCK
    }

    /// Blocks of the superblock and group descriptors where `group` has a copy of them.
    fn backup(&self, group: u64) -> u64 {
        let power = |base: u64| std::iter::successors(Some(base), move |n| n.checked_mul(base));
        let has_copy = group <= 1
            || [3, 5, 7]
                .into_iter()
                .any(|base| power(base).find(|&n| n >= group) == Some(group));
        if has_copy {
            1 + (self.groups * 32).div_ceil(4096)
        } else {
            0
        }
    }

    /// What can't hold files, as (first block, blocks), in order and apart.
    fn tables(&self) -> Vec<(u64, u64)> {
        let mut tables = Vec::new();
        for group in 0..self.groups {
            let mut length = self.backup(group);
            if group % FLEX == 0 {
                length += (self.groups - group).min(FLEX) * (2 + self.table);
            }
            if length > 0 {
                tables.push((group * GROUP, length));
            }
        }
        tables
    }

    /// What is free when `need` and the journal have theirs.
    pub fn room(&self, need: &Need) -> Room {
        let tables = self.tables();
        let overhead: u64 = tables.iter().map(|(_, length)| length).sum();
        let mut cursor = Cursor {
            at: 0,
            tables: &tables,
        };
        let journal = allocation(vec![self.journal]);
        let all = std::iter::once(&journal).chain(&need.allocations);
        let taken: u64 = all.map(|allocation| cursor.take(allocation)).sum();
        Room {
            free: self
                .blocks
                .checked_sub(overhead)
                .and_then(|left| left.checked_sub(taken)),
            reserved: self.blocks * RESERVED / 100,
            used: overhead + taken,
            extent_blocks: taken - need.least() - self.journal,
        }
    }

    /// Whether `need` fits.
    pub fn holds(&self, need: &Need) -> bool {
        self.room(need).free.is_some()
    }
}

/// How the blocks of a file system are shared out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Free blocks; `None` where there are not enough of them.
    pub free: Option<u64>,
    /// Free blocks that are for root.
    reserved: u64,
    /// Blocks that are taken, be they there or not.
    used: u64,
    /// Those of them that hold extents.
    extent_blocks: u64,
}

/// Takes blocks in ascending order around the tables, without an end.
struct Cursor<'a> {
    at: u64,
    tables: &'a [(u64, u64)],
}

impl Cursor<'_> {
    /// Takes the blocks of `allocation` and of its extents, and says how many they were.
    fn take(&mut self, allocation: &Allocation) -> u64 {
        let segments = match allocation {
            Allocation::Plain(blocks) => {
                self.run(*blocks);
                return *blocks;
            }
            Allocation::Mapped(segments) => segments,
        };
        let extents: u64 = segments.iter().map(|&blocks| self.run(blocks)).sum();
        let mut nodes = 0;
        let mut level = extents;
        while level > EXTENTS_IN_INODE {
            level = level.div_ceil(EXTENTS_IN_BLOCK);
            self.run(level);
            nodes += level;
        }
        nodes + segments.iter().sum::<u64>()
    }

    /// Takes `blocks` blocks and says in how many extents.
    fn run(&mut self, mut blocks: u64) -> u64 {
        let mut extents = 0;
        while blocks > 0 {
            while let Some((start, length)) = self.tables.first().filter(|t| t.0 <= self.at) {
                self.at = self.at.max(start + length);
                self.tables = &self.tables[1..];
            }
            let room = self.tables.first().map_or(u64::MAX, |t| t.0 - self.at);
            let length = blocks.min(room);
            // One extent has a group's blocks at most.
            extents += length.div_ceil(GROUP);
            self.at += length;
            blocks -= length;
        }
        extents
    }
}

/// The inodes that mkfs.ext4 gives a file system of `blocks` blocks.
fn default_inodes(blocks: u64) -> u64 {
    blocks / per_inode(blocks)
}

/// Blocks for which mkfs.ext4 makes one inode: 16384 bytes, more from 4 TiB on, fewer below 512 MiB.
fn per_inode(blocks: u64) -> u64 {
    const MIB: u64 = 1 << 8;
    const TIB: u64 = 1 << 28;
    match blocks {
        n if n < 512 * MIB => 1,
        n if n < 4 * TIB => 4,
        _ => 8,
    }
}

/// The journal that mkfs.ext4 gives a file system of `blocks` blocks, in blocks.
fn journal(blocks: u64) -> u64 {
    match blocks {
        0..32_768 => 1024,
        32_768..262_144 => 4096,
        262_144..524_288 => 8192,
        524_288..4_194_304 => 16_384,
        4_194_304..8_388_608 => 32_768,
        8_388_608..16_777_216 => 65_536,
        16_777_216..33_554_432 => 131_072,
        _ => 262_144,
    }
}

/// The least blocks of a file system that holds `need` and leaves `free` blocks to ordinary users;
/// `None` if there is none of any length.
pub fn smallest(need: &Need, free: u64) -> Option<u64> {
    // Less would be too little for certain, for blocks or for inodes.
    let groups = need.inodes.div_ceil(TABLE_MAX * INODES_IN_BLOCK);
    let mut blocks = LEAST
        .max(need.least().saturating_add(free))
        .max(groups.saturating_sub(1) * GROUP + 1);
    while blocks < BEYOND {
        let missing = missing(blocks, need, free);
        if missing == 0 {
            return Some(blocks);
        }
        // From one group's beginning to the next, a block more gives a block more of room at the
        // most, so nothing is stepped over; there, tables and journal may also get shorter.
        let group = match blocks % GROUP {
            0 => blocks + 1,
            _ => blocks.next_multiple_of(GROUP),
        };
        blocks = blocks.saturating_add(missing).min(group);
    }
    None
}

/// How many blocks are missing at the least; 0 if it fits.
fn missing(blocks: u64, need: &Need, free: u64) -> u64 {
    let Some(geometry) = Geometry::of(blocks, need) else {
        // For want of inodes; the next block may begin a group.
        return 1;
    };
    let room = geometry.room(need);
    let wanted = room.used.saturating_add(room.reserved).saturating_add(free);
    // Root's share is free too: without `free` it may be used up.
    let wanted = if free == 0 { room.used } else { wanted };
    let short = wanted.saturating_sub(geometry.blocks);
    // Those of extents may not be needed elsewhere, and a last group may become long enough.
    let certain = match geometry.blocks == blocks {
        true => short.saturating_sub(room.extent_blocks),
        false => 1,
    };
    if short == 0 { 0 } else { certain.max(1) }
}
