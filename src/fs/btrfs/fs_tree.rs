//! The tree of a subvolume: inodes, names, attributes, and where file data is.

use anyhow::{Result, bail};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::btree::{Items, LONGEST_ITEM};
use super::census::{Census, Name, Subvolume};
use super::extents::{Extents, FileExtent};
use super::hash;
use super::ondisk::{
    DirItem, DiskKey, FileExtentItem, FileExtentRegular, GENERATION, InodeExtref, InodeItem,
    InodeRef, Key, TimeSpec, compression, file_type, inode_flags, item_type, objects,
};
use super::reading::Part;
use super::segments;
use super::xattr;
use crate::fs::number::{le16, le32};
use crate::tree::{Content, Directory, Flags, Inode, InodeId, Kind, Tree};

/// Number of the first entry of a directory.
const FIRST_INDEX: u64 = 2;

/// Provides the data in inodes' items.
pub trait InlineData {
    /// Replaces `bytes` with the contents of the file `id`.
    ///
    /// # Errors
    /// If it can't be read.
    fn whole(&mut self, id: InodeId, bytes: &mut Vec<u8>) -> Result<()>;

    /// Replaces `bytes` with compressed data.
    ///
    /// # Errors
    /// If it can't be read.
    fn compressed(&mut self, part: Part, bytes: &mut Vec<u8>) -> Result<()>;
}

/// Everything that the trees of subvolumes consist of.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Its inodes.
    pub census: &'a Census,
    /// Its data.
    pub extents: &'a Extents,
    /// The number of the compression algorithm.
    pub compression: u8,
    /// Whether there are checksums of data.
    pub checksums: bool,
}

/// Passes on the items of the subvolume `subvolume`.
///
/// # Errors
/// Those of `inline` and `out`.
pub fn items(
    files: Files<'_>,
    subvolume: &Subvolume,
    inline: &mut dyn InlineData,
    out: &mut Items<'_>,
) -> Result<()> {
    let start = subvolume.places.start;
    let extents = &files.extents.all;
    let compressed = &files.extents.inline;
    let mut writer = Writer {
        files,
        subvolume,
        extents: &extents[extents.partition_point(|extent| extent.place < start)..],
        compressed: &compressed[compressed.partition_point(|&(place, _)| place < start)..],
        inline,
        bytes: Vec::new(),
    };
    for place in subvolume.places.clone() {
        writer.inode(place, out)?;
    }
    Ok(())
}

struct Writer<'a> {
    files: Files<'a>,
    subvolume: &'a Subvolume,
    /// The extents of this inode and of those that follow.
    extents: &'a [FileExtent],
    /// The compressed inline data of this inode and of those that follow.
    compressed: &'a [(u32, Part)],
    inline: &'a mut dyn InlineData,
    bytes: Vec<u8>,
}

impl Writer<'_> {
    fn inode(&mut self, place: u32, out: &mut Items<'_>) -> Result<()> {
        let Some(id) = self.files.census.id(place) else {
            bail!("there is no inode {place}: this is a bug");
        };
        let tree = self.files.tree;
        let inode = tree.inode(id);
        let number = self.subvolume.inode(place);
        let count = self
            .extents
            .iter()
            .take_while(|extent| extent.place == place)
            .count();
        let (extents, rest) = self.extents.split_at(count);
        self.extents = rest;
        let item = self.item(place, inode, extents)?;
        out(Key::new(number, item_type::INODE_ITEM, 0), item.as_bytes())?;
        self.names(place, out)?;
        xattr::items(number, &inode.metadata.xattrs, out)?;
        match &inode.kind {
            Kind::Directory(directory) => self.directory(number, directory, out),
            Kind::File(content) => self.file(place, id, content, extents, out),
            Kind::Symlink(target) => inline_item(
                number,
                target,
                target.len(),
                compression::NONE,
                &mut self.bytes,
                out,
            ),
            _ => Ok(()),
        }
    }

    fn item(&self, place: u32, inode: &Inode, extents: &[FileExtent]) -> Result<InodeItem> {
        let metadata = &inode.metadata;
        let mut item = InodeItem::new_zeroed();
        item.generation = U64::new(GENERATION);
        item.transid = U64::new(GENERATION);
        item.nlink = U32::new(1);
        if place != self.subvolume.places.start {
            item.nlink = le32(self.files.census.names(place).len())?;
        }
        item.uid = U32::new(metadata.uid);
        item.gid = U32::new(metadata.gid);
        item.flags = U64::new(flags(metadata.flags));
        let time = TimeSpec::from(metadata.mtime);
        (item.atime, item.ctime, item.mtime, item.otime) = (time, time, time, time);
        let mut size = 0;
        let mut bytes = 0;
        let kind: u16 = match &inode.kind {
            Kind::Directory(directory) => {
                // usize to u64: lossless.
                size = directory
                    .iter()
                    .map(|(name, _)| 2 * name.len() as u64)
                    .sum();
                0o040_000
            }
            Kind::File(content) => {
                size = content.size;
                bytes = extents.iter().map(|extent| u64::from(extent.bytes)).sum();
                if self.is_inline(place, content) {
                    bytes = size;
                }
                if !self.files.checksums {
                    item.flags |= U64::new(inode_flags::NODATASUM);
                }
                0o100_000
            }
            Kind::Symlink(target) => {
                // usize to u64: lossless.
                size = target.len() as u64;
                bytes = size;
                0o120_000
            }
            Kind::Fifo => 0o010_000,
            Kind::Socket => 0o140_000,
            Kind::CharacterDevice(device) => {
                item.rdev = rdev(device.major, device.minor);
                0o020_000
            }
            Kind::BlockDevice(device) => {
                item.rdev = rdev(device.major, device.minor);
                0o060_000
            }
        };
        item.size = U64::new(size);
        item.nbytes = U64::new(bytes);
        item.mode = U32::new((kind | metadata.mode & 0o7777).into());
        Ok(item)
    }

    fn is_inline(&self, place: u32, content: &Content) -> bool {
        self.inline_part(place).is_some() || segments::is_inline(content)
    }

    fn inline_part(&self, place: u32) -> Option<Part> {
        let &(found, part) = self.compressed.first()?;
        (found == place).then_some(part)
    }

    /// Passes on the names of the inode: in one item for each directory as far as they fit, and the
    /// others by their hashes.
    fn names(&self, place: u32, out: &mut Items<'_>) -> Result<()> {
        let number = self.subvolume.inode(place);
        if place == self.subvolume.places.start {
            let mut bytes = InodeRef::new_zeroed();
            bytes.name_len = U16::new(2);
            let bytes = [bytes.as_bytes(), b".."].concat();
            return out(Key::new(number, item_type::INODE_REF, number), &bytes);
        }
        let names = self.files.census.names(place);
        let mut by_parent: Vec<Name> = names.collect();
        by_parent.sort_unstable();
        let mut extrefs: Vec<(u32, Name)> = Vec::new();
        for same in by_parent.chunk_by(|a, b| a.parent == b.parent) {
            let mut bytes = Vec::new();
            let mut parent = 0;
            for &name in same {
                parent = self.subvolume.inode(name.parent);
                let text = self.name(name);
                if bytes.len() + size_of::<InodeRef>() + text.len() > LONGEST_ITEM {
                    extrefs.push((hash::extref(parent, text), name));
                    continue;
                }
                let mut item = InodeRef::new_zeroed();
                item.index = U64::new(index_of(name));
                item.name_len = le16(text.len())?;
                bytes.extend_from_slice(item.as_bytes());
                bytes.extend_from_slice(text);
            }
            out(Key::new(number, item_type::INODE_REF, parent), &bytes)?;
        }
        extrefs.sort_unstable();
        for same in extrefs.chunk_by(|a, b| a.0 == b.0) {
            let mut bytes = Vec::new();
            let mut key = Key::new(number, item_type::INODE_EXTREF, 0);
            for &(hash, name) in same {
                key.offset = hash.into();
                let text = self.name(name);
                let mut item = InodeExtref::new_zeroed();
                item.parent_objectid = U64::new(self.subvolume.inode(name.parent));
                item.index = U64::new(index_of(name));
                item.name_len = le16(text.len())?;
                bytes.extend_from_slice(item.as_bytes());
                bytes.extend_from_slice(text);
            }
            out(key, &bytes)?;
        }
        Ok(())
    }

    fn name(&self, name: Name) -> &[u8] {
        text(self.files.tree, self.files.census, name)
    }

    fn directory(&self, number: u64, directory: &Directory, out: &mut Items<'_>) -> Result<()> {
        let mut by_hash: Vec<(u32, usize)> = directory
            .iter()
            .enumerate()
            .map(|(at, (name, _))| (hash::name(name), at))
            .collect();
        by_hash.sort_unstable();
        let mut bytes = Vec::new();
        for same in by_hash.chunk_by(|a, b| a.0 == b.0) {
            bytes.clear();
            let mut key = Key::new(number, item_type::DIR_ITEM, 0);
            for &(hash, at) in same {
                key.offset = hash.into();
                if let Some((name, id)) = directory.nth(at) {
                    self.entry(name, id, &mut bytes)?;
                }
            }
            out(key, &bytes)?;
        }
        for (index, (name, id)) in (FIRST_INDEX..).zip(directory.iter()) {
            bytes.clear();
            self.entry(name, id, &mut bytes)?;
            out(Key::new(number, item_type::DIR_INDEX, index), &bytes)?;
        }
        Ok(())
    }

    fn entry(&self, name: &[u8], id: InodeId, bytes: &mut Vec<u8>) -> Result<()> {
        let place = self.files.census.place(id);
        let location = match self.subvolume.places.contains(&place) {
            true => Key::new(self.subvolume.inode(place), item_type::INODE_ITEM, 0),
            false => Key::new(
                self.files.census.subvolume(place).number,
                item_type::ROOT_ITEM,
                u64::MAX,
            ),
        };
        let mut item = DirItem::new_zeroed();
        item.location = DiskKey::from(location);
        item.transid = U64::new(GENERATION);
        item.name_len = le16(name.len())?;
        item.kind = match self.files.tree.inode(id).kind {
            Kind::Directory(_) => file_type::DIRECTORY,
            Kind::File(_) => file_type::FILE,
            Kind::Symlink(_) => file_type::SYMLINK,
            Kind::Fifo => file_type::FIFO,
            Kind::Socket => file_type::SOCKET,
            Kind::CharacterDevice(_) => file_type::CHARACTER_DEVICE,
            Kind::BlockDevice(_) => file_type::BLOCK_DEVICE,
        };
        bytes.extend_from_slice(item.as_bytes());
        bytes.extend_from_slice(name);
        Ok(())
    }

    fn file(
        &mut self,
        place: u32,
        id: InodeId,
        content: &Content,
        extents: &[FileExtent],
        out: &mut Items<'_>,
    ) -> Result<()> {
        let number = self.subvolume.inode(place);
        let mut data = Vec::new();
        if let Some(part) = self.inline_part(place) {
            self.compressed = self.compressed.get(1..).unwrap_or_default();
            self.inline.compressed(part, &mut data)?;
            // At most a sector, so that it fits.
            let size = usize::try_from(content.size)?;
            let algorithm = self.files.compression;
            return inline_item(number, &data, size, algorithm, &mut self.bytes, out);
        }
        if segments::is_inline(content) {
            self.inline.whole(id, &mut data)?;
            let none = compression::NONE;
            return inline_item(number, &data, data.len(), none, &mut self.bytes, out);
        }
        for extent in extents {
            let head = FileExtentItem {
                generation: U64::new(GENERATION),
                ram_bytes: U64::new(extent.bytes.into()),
                compression: match extent.compressed {
                    true => self.files.compression,
                    false => compression::NONE,
                },
                encryption: 0,
                other_encoding: U16::ZERO,
                kind: FileExtentItem::REGULAR,
            };
            let tail = FileExtentRegular {
                disk_bytenr: U64::new(extent.address),
                disk_num_bytes: U64::new(extent.disk_bytes.into()),
                offset: U64::ZERO,
                num_bytes: U64::new(extent.bytes.into()),
            };
            let key = Key::new(number, item_type::EXTENT_DATA, extent.offset);
            out(key, &[head.as_bytes(), tail.as_bytes()].concat())?;
        }
        Ok(())
    }
}

/// Returns the bytes of a name.
pub fn text<'a>(tree: &'a Tree, census: &Census, name: Name) -> &'a [u8] {
    let directory = census.id(name.parent).and_then(|id| tree.directory(id));
    // u32 to u64: lossless.
    let at = crate::fs::number::index(name.nth.into());
    let entry = directory.and_then(|directory| directory.nth(at));
    entry.map_or(b"", |(name, _)| name)
}

/// Returns the number of an entry in its directory.
pub fn index_of(name: Name) -> u64 {
    FIRST_INDEX + u64::from(name.nth)
}

/// Passes on a file's data or a link's target, which has `size` bytes when it is not compressed.
fn inline_item(
    number: u64,
    data: &[u8],
    size: usize,
    algorithm: u8,
    bytes: &mut Vec<u8>,
    out: &mut Items<'_>,
) -> Result<()> {
    let head = FileExtentItem {
        generation: U64::new(GENERATION),
        // usize to u64: lossless.
        ram_bytes: U64::new(size as u64),
        compression: algorithm,
        encryption: 0,
        other_encoding: U16::ZERO,
        kind: FileExtentItem::INLINE,
    };
    bytes.clear();
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(data);
    out(Key::new(number, item_type::EXTENT_DATA, 0), bytes)
}

/// Returns the flags of an inode. btrfs has none for data in a journal, and none for placing
/// directories.
fn flags(flags: Flags) -> u64 {
    const SAME: [(u32, u64); 6] = [
        (0x8, inode_flags::SYNC),
        (0x10, inode_flags::IMMUTABLE),
        (0x20, inode_flags::APPEND),
        (0x40, inode_flags::NODUMP),
        (0x80, inode_flags::NOATIME),
        (0x1_0000, inode_flags::DIRSYNC),
    ];
    let set = SAME.iter().filter(|(bit, _)| flags.bits() & bit != 0);
    set.fold(0, |all, (_, flag)| all | flag)
}

/// Returns a device number as the kernel has it in memory, which btrfs stores.
fn rdev(major: u32, minor: u32) -> U64 {
    U64::new(u64::from(major) << 20 | u64::from(minor))
}

/// Stands for data while the items are only counted: zeros of the right length.
pub struct Lengths<'a>(pub &'a Tree);

impl InlineData for Lengths<'_> {
    fn whole(&mut self, id: InodeId, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        if let Kind::File(content) = &self.0.inode(id).kind {
            bytes.resize(crate::fs::number::index(content.size), 0);
        }
        Ok(())
    }

    fn compressed(&mut self, part: Part, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        bytes.resize(crate::fs::number::index(part.length.into()), 0);
        Ok(())
    }
}

/// The number of the root directory of every subvolume.
pub const ROOT_DIRECTORY: u64 = objects::FIRST_FREE;
