//! The root tree: where the roots of all other trees are, and the names of subvolumes.

use anyhow::Result;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::btree::Items;
use super::census::{Census, Name, Subvolume};
use super::fs_tree::{ROOT_DIRECTORY, index_of, text};
use super::hash;
use super::ondisk::{
    DirItem, DiskKey, GENERATION, InodeItem, InodeRef, Key, NODE_SIZE, RootItem, RootRef, TimeSpec,
    file_type, inode_flags, item_type, objects,
};
use super::trees::{Uuids, plain_directory, root_name};
use crate::fs::number::le16;
use crate::tree::{Timestamp, Tree};

/// The name of the default subvolume.
const DEFAULT: &[u8] = b"default";

/// Where the root of a tree is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Root {
    /// Address of the root node.
    pub address: u64,
    /// Its height above the leaves.
    pub level: u8,
    /// The number of nodes.
    pub nodes: u64,
}

/// What the root tree is made of.
pub struct RootTree<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Its subvolumes.
    pub census: &'a Census,
    /// The UUIDs.
    pub uuids: &'a Uuids,
    /// The file system's own time.
    pub time: Timestamp,
    /// Returns the root of a tree by its number.
    pub root: &'a dyn Fn(u64) -> Root,
}

impl RootTree<'_> {
    /// Passes on the items.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn items(&self, out: &mut Items<'_>) -> Result<()> {
        let subvolumes = self.census.subvolumes();
        self.plain(objects::EXTENT_TREE, out)?;
        self.plain(objects::DEV_TREE, out)?;
        let default = InodeRef {
            index: U64::ZERO,
            name_len: le16(DEFAULT.len())?,
        };
        out(
            Key::new(
                objects::FS_TREE,
                item_type::INODE_REF,
                objects::ROOT_TREE_DIR,
            ),
            &[default.as_bytes(), DEFAULT].concat(),
        )?;
        if let Some(top) = subvolumes.first() {
            self.subvolume(top, out)?;
        }
        self.directory(out)?;
        for number in [
            objects::CSUM_TREE,
            objects::UUID_TREE,
            objects::FREE_SPACE_TREE,
        ] {
            self.plain(number, out)?;
        }
        for subvolume in subvolumes.iter().skip(1) {
            self.subvolume(subvolume, out)?;
        }
        let mut item = self.item(objects::DATA_RELOC_TREE);
        item.root_dirid = U64::new(ROOT_DIRECTORY);
        self.root(objects::DATA_RELOC_TREE, &item, out)
    }

    /// The directory with the name of the default subvolume.
    fn directory(&self, out: &mut Items<'_>) -> Result<()> {
        let number = objects::ROOT_TREE_DIR;
        let inode = plain_directory(self.time);
        out(Key::new(number, item_type::INODE_ITEM, 0), inode.as_bytes())?;
        out(Key::new(number, item_type::INODE_REF, number), &root_name())?;
        let mut entry = DirItem::new_zeroed();
        entry.location = DiskKey::from(Key::new(objects::FS_TREE, item_type::ROOT_ITEM, u64::MAX));
        entry.transid = U64::new(GENERATION);
        entry.name_len = le16(DEFAULT.len())?;
        entry.kind = file_type::DIRECTORY;
        let hash = hash::name(DEFAULT).into();
        out(
            Key::new(number, item_type::DIR_ITEM, hash),
            &[entry.as_bytes(), DEFAULT].concat(),
        )
    }

    /// A tree without a root directory.
    fn plain(&self, number: u64, out: &mut Items<'_>) -> Result<()> {
        self.root(number, &self.item(number), out)
    }

    fn root(&self, number: u64, item: &RootItem, out: &mut Items<'_>) -> Result<()> {
        out(Key::new(number, item_type::ROOT_ITEM, 0), item.as_bytes())
    }

    fn item(&self, number: u64) -> RootItem {
        let root = (self.root)(number);
        let mut item = RootItem::new_zeroed();
        item.inode = InodeItem {
            generation: U64::new(1),
            size: U64::new(3),
            flags: U64::new(inode_flags::ROOT_ITEM_INIT),
            ..plain_directory(Timestamp::default())
        };
        item.generation = U64::new(GENERATION);
        item.bytenr = U64::new(root.address);
        item.bytes_used = U64::new(root.nodes * NODE_SIZE);
        item.refs = U32::new(1);
        item.level = root.level;
        item.generation_v2 = U64::new(GENERATION);
        item
    }

    /// A subvolume, its name, and the names of subvolumes in it.
    fn subvolume(&self, subvolume: &Subvolume, out: &mut Items<'_>) -> Result<()> {
        let number = subvolume.number;
        let mut item = self.item(number);
        item.root_dirid = U64::new(ROOT_DIRECTORY);
        item.uuid = self.uuids.subvolume(number).into_bytes();
        item.ctransid = U64::new(GENERATION);
        item.otransid = U64::new(GENERATION);
        let time = TimeSpec::from(self.time);
        (item.ctime, item.otime) = (time, time);
        self.root(number, &item, out)?;
        if let Some(name) = subvolume.name {
            let parent = self.census.subvolume(name.parent);
            let key = Key::new(number, item_type::ROOT_BACKREF, parent.number);
            out(key, &self.name(parent, name)?)?;
        }
        // Their numbers are in the order of the walk, so they are sorted.
        for child in self.census.subvolumes() {
            if let Some(name) = child.name
                && subvolume.places.contains(&name.parent)
            {
                let key = Key::new(number, item_type::ROOT_REF, child.number);
                out(key, &self.name(subvolume, name)?)?;
            }
        }
        Ok(())
    }

    /// The name `name` in the subvolume `parent`.
    fn name(&self, parent: &Subvolume, name: Name) -> Result<Vec<u8>> {
        let text = text(self.tree, self.census, name);
        let item = RootRef {
            dirid: U64::new(parent.inode(name.parent)),
            sequence: U64::new(index_of(name)),
            name_len: le16(text.len())?,
        };
        Ok([item.as_bytes(), text].concat())
    }
}
