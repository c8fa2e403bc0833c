//! Encoding of inodes and what follows them.

use anyhow::{Context, Result};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::compress::Packed;
use super::directory::{self, Entry};
use super::layout::Layout;
use super::ondisk::{
    InodeCompact, InodeExtended, MapHeader, NO_BLOCK, advise, layout as data_layout,
};
use super::shape::{Data, Shape, Subject};
use super::xattr;
use crate::fs::DataSource;
use crate::fs::number::{TooWide, index, le16, le32};
use crate::fs::source::Opener;
use crate::tree::{Device, Inode, InodeId, Kind};

/// File types in `i_mode`.
const S_IFIFO: u16 = 0o010_000;
const S_IFCHR: u16 = 0o020_000;
const S_IFDIR: u16 = 0o040_000;
const S_IFBLK: u16 = 0o060_000;
const S_IFREG: u16 = 0o100_000;
const S_IFLNK: u16 = 0o120_000;
const S_IFSOCK: u16 = 0o140_000;

/// Encodes inodes.
#[derive(Clone, Copy)]
pub struct Encoder<'a> {
    /// The tree.
    pub subject: &'a Subject<'a>,
    /// The places of its inodes.
    pub layout: &'a Layout,
}

impl Encoder<'_> {
    /// Passes the inode `id` and everything that follows it to `emit`, in parts. `number` is a
    /// number for programs that only support 32 bits.
    ///
    /// # Errors
    /// If a file can't be read, or those of `emit`.
    pub fn inode(
        &self,
        id: InodeId,
        opener: &mut Opener,
        emit: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let inode = self.subject.tree.inode(id);
        let shape = self.subject.shape(id);
        let mut head = Vec::new();
        match shape.is_compact {
            true => head.extend_from_slice(self.compact(id, inode, &shape)?.as_bytes()),
            false => head.extend_from_slice(self.extended(id, inode, &shape)?.as_bytes()),
        }
        let xattrs = &inode.metadata.xattrs;
        self.subject.census.shared.put_inline(xattrs, &mut head)?;
        match &shape.data {
            Data::Flat { tail: 0, .. } => emit(&head),
            Data::Flat { tail, .. } => {
                emit(&head)?;
                emit(&self.tail(id, shape.size, *tail, opener)?)
            }
            Data::Chunks(chunks) => {
                emit(&head)?;
                let Kind::File(content) = &inode.kind else {
                    return Ok(());
                };
                for entry in chunks.entries(content, self.layout.start(id)) {
                    emit(U32::new(entry).as_bytes())?;
                }
                Ok(())
            }
            Data::Packed { .. } => {
                head.resize(head.len().next_multiple_of(8), 0);
                emit(&head)?;
                let packed = self.subject.packed.context("there is no compressed data")?;
                self.packed(id, &shape, packed, emit)
            }
        }
    }

    fn compact(&self, id: InodeId, inode: &Inode, shape: &Shape) -> Result<InodeCompact, TooWide> {
        let mut record = InodeCompact::new_zeroed();
        let metadata = &inode.metadata;
        record.i_format = U16::new(format(shape));
        record.i_xattr_icount = xattr::count(shape.xattrs)?;
        record.i_mode = mode(inode);
        record.i_nlink = le16(self.subject.census.links(id))?;
        record.i_size = le32(shape.size)?;
        record.i_u = self.union(id, inode, shape)?;
        record.i_ino = U32::new(self.layout.number(id));
        record.i_uid = le16(metadata.uid)?;
        record.i_gid = le16(metadata.gid)?;
        Ok(record)
    }

    fn extended(
        &self,
        id: InodeId,
        inode: &Inode,
        shape: &Shape,
    ) -> Result<InodeExtended, TooWide> {
        let mut record = InodeExtended::new_zeroed();
        let metadata = &inode.metadata;
        record.i_format = U16::new(1 | format(shape));
        record.i_xattr_icount = xattr::count(shape.xattrs)?;
        record.i_mode = mode(inode);
        record.i_size = U64::new(shape.size);
        record.i_u = self.union(id, inode, shape)?;
        record.i_ino = U32::new(self.layout.number(id));
        record.i_uid = U32::new(metadata.uid);
        record.i_gid = U32::new(metadata.gid);
        record.i_mtime = U64::new(metadata.mtime.seconds.cast_unsigned());
        record.i_mtime_nsec = U32::new(metadata.mtime.nanoseconds);
        record.i_nlink = U32::new(self.subject.census.links(id));
        Ok(record)
    }

    /// Returns the field whose meaning depends on the inode.
    fn union(&self, id: InodeId, inode: &Inode, shape: &Shape) -> Result<U32, TooWide> {
        match (&inode.kind, &shape.data) {
            (Kind::CharacterDevice(device) | Kind::BlockDevice(device), _) => {
                Ok(U32::new(device_number(*device)))
            }
            (Kind::Fifo | Kind::Socket, _) => Ok(U32::ZERO),
            (_, Data::Flat { .. }) => Ok(U32::new(self.layout.start(id))),
            (_, Data::Chunks(chunks)) => Ok(U32::new(chunks.bits.into())),
            (_, Data::Packed { blocks, .. }) => le32(*blocks),
        }
    }

    /// Returns the last `tail` bytes of the data of an inode.
    fn tail(&self, id: InodeId, size: u64, tail: u64, opener: &mut Opener) -> Result<Vec<u8>> {
        match &self.subject.tree.inode(id).kind {
            Kind::Directory(_) => {
                let mut last = Vec::new();
                self.directory(id, &mut |block| {
                    last.clear();
                    last.extend_from_slice(block);
                    Ok(())
                })?;
                Ok(last)
            }
            Kind::Symlink(target) => Ok(target.to_vec()),
            _ => {
                let source = DataSource::of_tree(self.subject.tree, id);
                let source = source.context("an inode without contents has inline data")?;
                let mut bytes = vec![0; index(tail)];
                opener.open(source)?.read(&mut bytes, size - tail)?;
                Ok(bytes)
            }
        }
    }

    /// Passes the blocks of the directory `id` to `emit`, each without the zeros at its end.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn directory(&self, id: InodeId, emit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Some(directory) = self.subject.tree.directory(id) else {
            return Ok(());
        };
        let number = |entry: Entry<'_>| {
            let id = match entry {
                Entry::Here => id,
                Entry::Above => self.subject.census.parent(id),
                Entry::Name(_, id) => id,
            };
            let file_type = directory::type_of(&self.subject.tree.inode(id).kind);
            (u64::from(self.layout.number(id)), file_type)
        };
        directory::encode(directory, number, emit)
    }

    /// Passes the index of a compressed file and the extent that follows it to `emit`.
    fn packed(
        &self,
        id: InodeId,
        shape: &Shape,
        packed: &Packed,
        emit: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let Data::Packed { index, tail, .. } = &shape.data else {
            return Ok(());
        };
        let mut header = MapHeader::new_zeroed();
        header.h_idata_size = le16(*tail)?;
        let inline = match tail {
            0 => 0,
            _ => advise::INLINE_PCLUSTER,
        };
        header.h_advise = U16::new(advise::COMPACTED_2B | advise::BIG_PCLUSTER | inline);
        header.h_algorithmtype = packed.compression.algorithm();
        emit(header.as_bytes())?;
        // Without blocks, there are no numbers of blocks either.
        let start = match self.layout.start(id) {
            NO_BLOCK => 0,
            start => start,
        };
        let extents = packed.extents(id, shape.size);
        index.encode(extents, shape.size, start, &mut *emit)?;
        match tail {
            0 => Ok(()),
            _ => emit(&packed.tail(id, shape.size)?),
        }
    }
}

fn format(shape: &Shape) -> u16 {
    let layout = match shape.data {
        Data::Flat { tail: 0, .. } => data_layout::FLAT_PLAIN,
        Data::Flat { .. } => data_layout::FLAT_INLINE,
        Data::Chunks(_) => data_layout::CHUNK_BASED,
        Data::Packed { .. } => data_layout::COMPRESSED_COMPACT,
    };
    layout << 1
}

fn mode(inode: &Inode) -> U16 {
    let kind = match inode.kind {
        Kind::Directory(_) => S_IFDIR,
        Kind::File(_) => S_IFREG,
        Kind::Symlink(_) => S_IFLNK,
        Kind::Fifo => S_IFIFO,
        Kind::Socket => S_IFSOCK,
        Kind::CharacterDevice(_) => S_IFCHR,
        Kind::BlockDevice(_) => S_IFBLK,
    };
    U16::new(kind | inode.metadata.mode)
}

/// Encodes a device number as Linux does (`new_encode_dev` in include/linux/kdev_t.h).
fn device_number(device: Device) -> u32 {
    let Device { major, minor } = device;
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_have_the_form_of_linux() {
        let number = |major, minor| device_number(Device { major, minor });
        assert_eq!(number(8, 255), 0x8ff);
        assert_eq!(number(259, 0x12345), 0x1231_0345);
        assert_eq!(number(4095, 0xf_ffff), 0xffff_ffff);
    }
}
