//! Encoding of the superblock.

use anyhow::{Context, Result};
use zerocopy::little_endian::U64;
use zerocopy::{FromZeros, IntoBytes};

use super::layout::{ChunkPlace, Layout};
use super::ondisk::{
    DEVICE_ID, DiskKey, GENERATION, Key, NODE_SIZE, RootBackup, SECTOR_SIZE, SuperBlock, compat_ro,
    incompat, item_type, objects,
};
use super::root_tree::Root;
use super::trees::{self, Uuids};
use crate::fs::number::le32;

/// What the superblock says, apart from the place of the copy.
pub struct Superblock<'a> {
    /// The chunks.
    pub layout: &'a Layout,
    /// The UUIDs.
    pub uuids: &'a Uuids,
    /// The label, at most 255 bytes.
    pub label: &'a [u8],
    /// Bytes of all extents and nodes.
    pub used: u64,
    /// Whether zstd is used.
    pub zstd: bool,
    /// The root of the chunk tree.
    pub chunk_root: Root,
    /// The root of the root tree.
    pub root: Root,
    /// Returns the root of a tree by its number.
    pub roots: &'a dyn Fn(u64) -> Root,
}

impl Superblock<'_> {
    /// Encodes the copy at `offset`.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn encode(&self, offset: u64) -> Result<SuperBlock> {
        let mut block = SuperBlock::new_zeroed();
        block.fsid = self.uuids.fsid.into_bytes();
        block.bytenr = U64::new(offset);
        block.flags = U64::new(1);
        block.magic = SuperBlock::MAGIC;
        block.generation = U64::new(GENERATION);
        block.root = U64::new(self.root.address);
        block.root_level = self.root.level;
        block.chunk_root = U64::new(self.chunk_root.address);
        block.chunk_root_level = self.chunk_root.level;
        block.chunk_root_generation = U64::new(GENERATION);
        block.total_bytes = U64::new(self.layout.length);
        block.bytes_used = U64::new(self.used);
        block.root_dir_objectid = U64::new(objects::ROOT_TREE_DIR);
        block.num_devices = U64::new(DEVICE_ID);
        block.sectorsize = le32(SECTOR_SIZE)?;
        block.nodesize = le32(NODE_SIZE)?;
        block.leafsize = le32(NODE_SIZE)?;
        block.stripesize = le32(SECTOR_SIZE)?;
        block.compat_ro_flags =
            U64::new(compat_ro::FREE_SPACE_TREE | compat_ro::FREE_SPACE_TREE_VALID);
        let zstd = if self.zstd {
            incompat::COMPRESS_ZSTD
        } else {
            0
        };
        block.incompat_flags = U64::new(
            incompat::MIXED_BACKREF
                | incompat::BIG_METADATA
                | incompat::EXTENDED_IREF
                | incompat::SKINNY_METADATA
                | incompat::NO_HOLES
                | zstd,
        );
        block.dev_item = trees::device(self.layout, self.uuids)?;
        block
            .label
            .get_mut(..self.label.len())
            .context("the label is too long")?
            .copy_from_slice(self.label);
        block.uuid_tree_generation = U64::new(GENERATION);
        let system = self.layout.chunks.first().context("there is no chunk")?;
        let array = self.system_chunk(system)?;
        block.sys_chunk_array_size = le32(array.len())?;
        block
            .sys_chunk_array
            .get_mut(..array.len())
            .context("the system chunk is too long")?
            .copy_from_slice(&array);
        block.super_roots[0] = self.backup();
        let sum = crc32c::crc32c(&block.as_bytes()[size_of_val(&block.csum)..]);
        block.csum[..4].copy_from_slice(&sum.to_le_bytes());
        Ok(block)
    }

    fn system_chunk(&self, chunk: &ChunkPlace) -> Result<Vec<u8>> {
        let key = DiskKey::from(Key::new(
            objects::FIRST_CHUNK_TREE,
            item_type::CHUNK_ITEM,
            chunk.start,
        ));
        Ok([key.as_bytes(), &trees::chunk(chunk, self.uuids)?].concat())
    }

    /// The copy of all roots that the mount option `rescue=usebackuproot` uses.
    fn backup(&self) -> RootBackup {
        let generation = U64::new(GENERATION);
        let root = |number| (self.roots)(number);
        let [extent, fs, dev, csum] = [
            objects::EXTENT_TREE,
            objects::FS_TREE,
            objects::DEV_TREE,
            objects::CSUM_TREE,
        ]
        .map(root);
        let address = |root: Root| U64::new(root.address);
        let mut backup = RootBackup::new_zeroed();
        backup.tree_root = address(self.root);
        backup.tree_root_gen = generation;
        backup.tree_root_level = self.root.level;
        backup.chunk_root = address(self.chunk_root);
        backup.chunk_root_gen = generation;
        backup.chunk_root_level = self.chunk_root.level;
        backup.extent_root = address(extent);
        backup.extent_root_gen = generation;
        backup.extent_root_level = extent.level;
        backup.fs_root = address(fs);
        backup.fs_root_gen = generation;
        backup.fs_root_level = fs.level;
        backup.dev_root = address(dev);
        backup.dev_root_gen = generation;
        backup.dev_root_level = dev.level;
        backup.csum_root = address(csum);
        backup.csum_root_gen = generation;
        backup.csum_root_level = csum.level;
        backup.total_bytes = U64::new(self.layout.length);
        backup.bytes_used = U64::new(self.used);
        backup.num_devices = U64::new(DEVICE_ID);
        backup
    }
}
