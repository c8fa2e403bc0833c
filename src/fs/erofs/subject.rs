//! The choice of the form of each inode.

use super::census::Census;
use super::chunks::Chunks;
use super::compress::Packed;
use super::directory;
use super::shape::{Data, Shape};
use crate::fs::Options;
use crate::tree::{Content, Inode, InodeId, Kind, Tree};

/// A tree with everything that determines the forms of its inodes.
pub struct Subject<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Links and shared attributes.
    pub census: &'a Census,
    /// The compressed contents of files, if there are any.
    pub packed: Option<&'a Packed>,
    /// The time of inodes in the compact form.
    pub options: &'a Options,
}

impl Subject<'_> {
    /// Returns the form of `id`.
    pub fn shape(&self, id: InodeId) -> Shape {
        let inode = self.tree.inode(id);
        let size = size(inode);
        let mut shape = Shape {
            is_compact: self.is_compact(id, inode, size),
            xattrs: self.census.shared.inline_length(&inode.metadata.xattrs),
            size,
            data: Data::Flat { blocks: 0, tail: 0 },
        };
        shape.data = match &inode.kind {
            Kind::File(content) => self.file(id, content, &shape),
            Kind::Directory(_) | Kind::Symlink(_) => shape.flat(true),
            _ => return shape,
        };
        shape
    }

    /// As `erofs_should_use_inode_extended` of mkfs.erofs.
    fn is_compact(&self, id: InodeId, inode: &Inode, size: u64) -> bool {
        let metadata = &inode.metadata;
        let short = u32::from(u16::MAX);
        let numbers = [metadata.uid, metadata.gid, self.census.links(id)];
        size <= u64::from(u32::MAX)
            && numbers.iter().all(|&number| number <= short)
            && metadata.mtime == self.options.time
    }

    fn file(&self, id: InodeId, content: &Content, shape: &Shape) -> Data {
        if content.data.is_some() {
            return Chunks::best(content).map_or_else(|| shape.flat(false), Data::Chunks);
        }
        let flat = shape.flat(true);
        let packed = self.packed.and_then(|packed| packed.data(id, shape));
        match packed {
            Some(packed) if shape.space(&packed) < shape.space(&flat) => packed,
            _ => flat,
        }
    }
}

/// Returns the `i_size` of an inode.
fn size(inode: &Inode) -> u64 {
    match &inode.kind {
        Kind::Directory(directory) => directory::length(directory),
        Kind::File(content) => content.size,
        // usize to u64: lossless on every target Rust has.
        Kind::Symlink(target) => target.len() as u64,
        Kind::Fifo | Kind::Socket | Kind::CharacterDevice(_) | Kind::BlockDevice(_) => 0,
    }
}
