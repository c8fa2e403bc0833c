//! The trees that describe the file system itself, apart from the extent tree and the root tree.

use std::ops::Range;

use anyhow::Result;
use uuid::Uuid;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::btree::{Items, LONGEST_ITEM};
use super::extents::FileExtent;
use super::layout::{ChunkPlace, Layout};
use super::ondisk::{
    Chunk, DEVICE_ID, DevExtent, DevItem, FreeSpaceInfo, InodeItem, InodeRef, Key, SECTOR_SIZE,
    Stripe, TimeSpec, item_type, objects,
};
use crate::fs::number::{le16, le32};
use crate::tree::Timestamp;

/// The UUIDs of a file system, derived from its own so that they are reproducible.
#[derive(Debug, Clone, Copy)]
pub struct Uuids {
    /// The file system's UUID.
    pub fsid: Uuid,
    /// That of the device.
    pub device: Uuid,
    /// That of the chunk tree.
    pub chunk_tree: Uuid,
}

impl Uuids {
    /// Derives the UUIDs.
    pub fn new(fsid: Uuid) -> Uuids {
        Uuids {
            fsid,
            device: Uuid::new_v5(&fsid, b"btrfs device"),
            chunk_tree: Uuid::new_v5(&fsid, b"btrfs chunk tree"),
        }
    }

    /// The UUID of the subvolume `number`.
    pub fn subvolume(&self, number: u64) -> Uuid {
        Uuid::new_v5(&self.fsid, format!("btrfs subvolume {number}").as_bytes())
    }
}

/// The item of a chunk, with its stripes.
///
/// # Errors
/// If there are more copies than a field can hold.
pub fn chunk(chunk: &ChunkPlace, uuids: &Uuids) -> Result<Vec<u8>> {
    let item = Chunk {
        length: U64::new(chunk.length),
        owner: U64::new(objects::EXTENT_TREE),
        stripe_len: U64::new(Chunk::STRIPE_LENGTH),
        kind: U64::new(chunk.kind),
        io_align: le32(Chunk::STRIPE_LENGTH)?,
        io_width: le32(Chunk::STRIPE_LENGTH)?,
        sector_size: le32(SECTOR_SIZE)?,
        num_stripes: le16(chunk.copies().count())?,
        sub_stripes: U16::new(1),
    };
    let mut bytes = item.as_bytes().to_vec();
    for copy in chunk.copies() {
        let stripe = Stripe {
            devid: U64::new(DEVICE_ID),
            offset: U64::new(copy),
            dev_uuid: uuids.device.into_bytes(),
        };
        bytes.extend_from_slice(stripe.as_bytes());
    }
    Ok(bytes)
}

/// The item of the device.
///
/// # Errors
/// Never: a sector's length fits.
pub fn device(layout: &Layout, uuids: &Uuids) -> Result<DevItem> {
    let mut item = DevItem::new_zeroed();
    item.devid = U64::new(DEVICE_ID);
    item.total_bytes = U64::new(layout.length);
    item.bytes_used = U64::new(layout.allocated());
    item.io_align = le32(SECTOR_SIZE)?;
    item.io_width = le32(SECTOR_SIZE)?;
    item.sector_size = le32(SECTOR_SIZE)?;
    item.uuid = uuids.device.into_bytes();
    item.fsid = uuids.fsid.into_bytes();
    Ok(item)
}

/// The chunk tree: the device, and all chunks.
///
/// # Errors
/// Those of `out`.
pub fn chunk_tree(layout: &Layout, uuids: &Uuids, out: &mut Items<'_>) -> Result<()> {
    let key = Key::new(objects::DEV_ITEMS, item_type::DEV_ITEM, DEVICE_ID);
    out(key, device(layout, uuids)?.as_bytes())?;
    for place in &layout.chunks {
        let key = Key::new(
            objects::FIRST_CHUNK_TREE,
            item_type::CHUNK_ITEM,
            place.start,
        );
        out(key, &chunk(place, uuids)?)?;
    }
    Ok(())
}

/// The device tree: the parts of the device that are in chunks, and its statistics, which are zero.
///
/// # Errors
/// Those of `out`.
pub fn device_tree(layout: &Layout, uuids: &Uuids, out: &mut Items<'_>) -> Result<()> {
    const COUNTERS: usize = 5;
    let statistics = [U64::ZERO; COUNTERS];
    let key = Key::new(objects::DEV_STATS, item_type::PERSISTENT_ITEM, DEVICE_ID);
    out(key, statistics.as_bytes())?;
    for place in &layout.chunks {
        for copy in place.copies() {
            let item = DevExtent {
                chunk_tree: U64::new(objects::CHUNK_TREE),
                chunk_objectid: U64::new(objects::FIRST_CHUNK_TREE),
                chunk_offset: U64::new(place.start),
                length: U64::new(place.length),
                chunk_tree_uuid: uuids.chunk_tree.into_bytes(),
            };
            let key = Key::new(DEVICE_ID, item_type::DEV_EXTENT, copy);
            out(key, item.as_bytes())?;
        }
    }
    Ok(())
}

/// The tree of UUIDs of the subvolumes with these numbers. It is sorted by UUID.
///
/// # Errors
/// Those of `out`.
pub fn uuid_tree(
    numbers: impl Iterator<Item = u64>,
    uuids: &Uuids,
    out: &mut Items<'_>,
) -> Result<()> {
    let mut items: Vec<(Key, u64)> = numbers
        .map(|number| {
            // The halves are little-endian.
            let (first, second) = uuids.subvolume(number).as_u64_pair();
            let key = Key::new(
                first.swap_bytes(),
                item_type::UUID_SUBVOLUME,
                second.swap_bytes(),
            );
            (key, number)
        })
        .collect();
    items.sort_unstable();
    items
        .into_iter()
        .try_for_each(|(key, number)| out(key, &number.to_le_bytes()))
}

/// The inode of a directory in a tree that is no subvolume, or in a root item.
pub fn plain_directory(time: Timestamp) -> InodeItem {
    let time = TimeSpec::from(time);
    InodeItem {
        generation: U64::new(super::ondisk::GENERATION),
        nbytes: U64::new(super::ondisk::NODE_SIZE),
        nlink: U32::new(1),
        mode: U32::new(0o040_755),
        atime: time,
        ctime: time,
        mtime: time,
        otime: time,
        ..InodeItem::new_zeroed()
    }
}

/// The name of a root directory, which is its own parent.
pub fn root_name() -> Vec<u8> {
    let mut item = InodeRef::new_zeroed();
    item.name_len = U16::new(2);
    [item.as_bytes(), b".."].concat()
}

/// The tree that Linux uses when it moves data: an empty directory.
///
/// # Errors
/// Those of `out`.
pub fn data_reloc_tree(time: Timestamp, out: &mut Items<'_>) -> Result<()> {
    let number = objects::FIRST_FREE;
    let directory = plain_directory(time);
    out(
        Key::new(number, item_type::INODE_ITEM, 0),
        directory.as_bytes(),
    )?;
    out(Key::new(number, item_type::INODE_REF, number), &root_name())
}

/// The tree of checksums: those of adjacent sectors are in the same item, as many as fit.
///
/// # Errors
/// Those of `out`.
pub fn csum_tree(extents: &[FileExtent], sums: &[u32], out: &mut Items<'_>) -> Result<()> {
    const SUM: usize = size_of::<u32>();
    // `MAX_CSUM_ITEMS` in the kernel's fs/btrfs/file-item.c.
    const MOST: usize = LONGEST_ITEM / SUM - 7;
    if sums.is_empty() {
        return Ok(());
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(MOST * SUM);
    let mut start = 0;
    let mut end = 0;
    let mut sums = sums.iter();
    let mut item = |start, bytes: &mut Vec<u8>| {
        let key = Key::new(objects::EXTENT_CSUM, item_type::EXTENT_CSUM, start);
        if !bytes.is_empty() {
            out(key, bytes)?;
        }
        bytes.clear();
        anyhow::Ok(())
    };
    for extent in extents {
        let extent_end = extent.address + u64::from(extent.disk_bytes);
        let mut at = extent.address;
        while at < extent_end {
            if at != end || bytes.len() == MOST * SUM {
                item(start, &mut bytes)?;
                start = at;
            }
            if let Some(sum) = sums.next() {
                bytes.extend_from_slice(&sum.to_le_bytes());
            }
            at += SECTOR_SIZE;
            end = at;
        }
    }
    item(start, &mut bytes)
}

/// Used addresses in ascending order, and the chunks that they are in.
pub struct Used<'a> {
    /// Extents of data.
    pub extents: &'a [FileExtent],
    /// Runs of nodes.
    pub nodes: &'a [Range<u64>],
}

impl Used<'_> {
    /// Passes on all ranges in `chunk`.
    fn ranges(&self, chunk: &ChunkPlace) -> impl Iterator<Item = Range<u64>> + '_ {
        let addresses = chunk.addresses();
        let end = addresses.end;
        let from = |start: u64| {
            self.extents
                .partition_point(|extent| extent.address < start)
        };
        let extents = &self.extents[from(addresses.start)..from(end)];
        let extents = extents
            .iter()
            .map(|extent| extent.address..extent.address + u64::from(extent.disk_bytes));
        let nodes = self.nodes.iter().cloned();
        extents.chain(nodes.filter(move |run| addresses.contains(&run.start)))
    }

    /// The number of bytes in use in `chunk`.
    pub fn bytes(&self, chunk: &ChunkPlace) -> u64 {
        self.ranges(chunk)
            .map(|range| range.end - range.start)
            .sum()
    }
}

/// The tree of free space: the gaps between used ranges in each chunk.
///
/// # Errors
/// Those of `out`.
pub fn free_space_tree(layout: &Layout, used: &Used<'_>, out: &mut Items<'_>) -> Result<()> {
    for chunk in &layout.chunks {
        let mut free = Vec::new();
        let mut at = chunk.start;
        for range in used.ranges(chunk) {
            if at < range.start {
                free.push(at..range.start);
            }
            at = range.end;
        }
        let end = chunk.addresses().end;
        if at < end {
            free.push(at..end);
        }
        let info = FreeSpaceInfo {
            extent_count: le32(free.len())?,
            flags: U32::ZERO,
        };
        let key = Key::new(chunk.start, item_type::FREE_SPACE_INFO, chunk.length);
        out(key, info.as_bytes())?;
        for range in free {
            let length = range.end - range.start;
            out(
                Key::new(range.start, item_type::FREE_SPACE_EXTENT, length),
                &[],
            )?;
        }
    }
    Ok(())
}
