//! The extent tree: who uses each extent of data and each node, and how much of each chunk is used.

use anyhow::Result;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::btree::Items;
use super::census::Census;
use super::extents::FileExtent;
use super::layout::ChunkPlace;
use super::ondisk::{
    BlockGroupItem, DataExtentItem, GENERATION, Key, TreeBlockItem, item_type, objects,
};

/// A node of a tree.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// Its address.
    pub address: u64,
    /// The number of its tree.
    pub owner: u64,
    /// Its height above the leaves.
    pub level: u8,
}

/// Passes on the items. `chunks` are all chunks with the number of bytes in use in each, `nodes` and
/// `extents` are sorted by address.
///
/// # Errors
/// Those of `out`.
pub fn items(
    chunks: &[(ChunkPlace, u64)],
    nodes: impl Iterator<Item = Node>,
    extents: &[FileExtent],
    census: &Census,
    out: &mut Items<'_>,
) -> Result<()> {
    let mut nodes = nodes.peekable();
    let mut extents = extents.iter().peekable();
    for (chunk, used) in chunks {
        let addresses = chunk.addresses();
        // Only the extent at the beginning of the chunk comes before the chunk.
        for first in [true, false] {
            let end = match first {
                true => addresses.start + 1,
                false => addresses.end,
            };
            while let Some(node) = nodes.next_if(|node| node.address < end) {
                let item = TreeBlockItem {
                    refs: U64::new(1),
                    generation: U64::new(GENERATION),
                    flags: U64::new(TreeBlockItem::TREE_BLOCK),
                    kind: item_type::TREE_BLOCK_REF,
                    root: U64::new(node.owner),
                };
                let level = node.level.into();
                let key = Key::new(node.address, item_type::METADATA_ITEM, level);
                out(key, item.as_bytes())?;
            }
            while let Some(extent) = extents.next_if(|extent| extent.address < end) {
                let subvolume = census.subvolume(extent.place);
                let item = DataExtentItem {
                    refs: U64::new(1),
                    generation: U64::new(GENERATION),
                    flags: U64::new(DataExtentItem::DATA),
                    kind: item_type::EXTENT_DATA_REF,
                    root: U64::new(subvolume.number),
                    objectid: U64::new(subvolume.inode(extent.place)),
                    offset: U64::new(extent.offset),
                    count: U32::new(1),
                };
                let length = extent.disk_bytes.into();
                let key = Key::new(extent.address, item_type::EXTENT_ITEM, length);
                out(key, item.as_bytes())?;
            }
            if first {
                let item = BlockGroupItem {
                    used: U64::new(*used),
                    chunk_objectid: U64::new(objects::FIRST_CHUNK_TREE),
                    flags: U64::new(chunk.kind),
                };
                let key = Key::new(chunk.start, item_type::BLOCK_GROUP_ITEM, chunk.length);
                out(key, item.as_bytes())?;
            }
        }
    }
    Ok(())
}
