//! Encoding of inodes.

use anyhow::Result;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::directory::{Entries, Target};
use super::logs::Log;
use super::nodes::{self, Kind as NodeKind};
use super::ondisk::{
    ADDRESSES, BLOCK_SIZE, Extent, InlineDentry, InodeNode, file_type, i_advise, i_inline, put,
};
use super::segment::{Shape, View};
use super::xattr;
use super::{INLINE_DATA, INLINE_XATTR, INODE_BLOCKS, ROOT_INODE};
use crate::fs::number::{TooWide, index, le32};
use crate::fs::source::Opener;
use crate::fs::{DataExtent, DataSource};
use crate::tree::{Content, Device, Directory, Flags, Inode, Kind};

/// Flags that f2fs has (`F2FS_SETTABLE_FS_FL` in `fs/f2fs/file.c`) of those that a tree has: sync,
/// immutable, append, nodump, noatime, dirsync.
const FLAGS: u32 = 0x1_00f8;
/// Number of blocks from which Linux remembers an extent (`F2FS_MIN_EXTENT_LEN`).
const SHORTEST_EXTENT: u64 = 64;
/// Where inline contents begin among the addresses, in bytes.
const INLINE_START: usize = 4;

/// Type of an inode: in its mode, and in directory entries.
fn types(kind: &Kind) -> (u16, u8) {
    match kind {
        Kind::Fifo => (0o010_000, file_type::FIFO),
        Kind::CharacterDevice(_) => (0o020_000, file_type::CHARACTER_DEVICE),
        Kind::Directory(_) => (0o040_000, file_type::DIRECTORY),
        Kind::BlockDevice(_) => (0o060_000, file_type::BLOCK_DEVICE),
        Kind::File(_) => (0o100_000, file_type::FILE),
        Kind::Symlink(_) => (0o120_000, file_type::SYMLINK),
        Kind::Socket => (0o140_000, file_type::SOCKET),
    }
}

/// Returns the entries of the directory with the index `at`, to be passed to `use_entries`.
pub fn entries<T>(
    view: &View<'_>,
    at: usize,
    directory: &Directory,
    use_entries: impl FnOnce(&Entries<'_>) -> T,
) -> T {
    let target = |position: usize| {
        let id = directory.nth(position).map(|(_, id)| id);
        let kind = id.map(|id| types(&view.tree.inode(id).kind).1);
        Target {
            ino: id.map_or(0, |id| view.census.number(id)),
            kind: kind.unwrap_or(0),
        }
    };
    let of = |at: u32| Target {
        ino: at + ROOT_INODE,
        kind: file_type::DIRECTORY,
    };
    // The census has checked the number of inodes.
    let own = of(u32::try_from(at).unwrap_or(0));
    use_entries(&Entries {
        directory,
        own,
        parent: of(view.census.items()[at].parent),
        target: &target,
    })
}

/// Encodes the inode with the index `at`, without its footer.
///
/// # Errors
/// If a small file can't be read, or a number is too large for its field.
pub fn encode(view: &View<'_>, at: usize, shape: &Shape, opener: &mut Opener) -> Result<InodeNode> {
    let item = &view.census.items()[at];
    let inode = view.tree.inode(item.id);
    let mut node = InodeNode::new_zeroed();
    common(view, at, inode, shape, &mut node)?;
    let i = &mut node.i;
    match &inode.kind {
        Kind::Directory(directory) => match view.census.table(at) {
            Some(table) => {
                i.i_size = U64::new(end(shape) * BLOCK_SIZE);
                i.i_current_depth = U32::new(table.levels);
            }
            None => {
                let block = entries(view, at, directory, |entries| entries.inline())?;
                i.i_inline |= i_inline::INLINE_DENTRY;
                // usize to u64: lossless.
                i.i_size = U64::new(size_of::<InlineDentry>() as u64);
                i.i_current_depth = U32::new(1);
                put(i.i_addr.as_mut_bytes(), INLINE_START, &block);
            }
        },
        Kind::File(content) => {
            i.i_size = U64::new(content.size);
            match item.data_log {
                Log::ColdData => i.i_advise |= i_advise::COLD,
                Log::HotData => i.i_advise |= i_advise::HOT,
                _ => {}
            }
            if item.links > 1 {
                i.i_advise |= i_advise::LOST_PINO;
            }
            if content.size <= INLINE_DATA {
                inline(&mut node, content, opener)?;
            } else if let Some(extent) = longest(view, at, shape)? {
                i.i_ext = extent;
            }
        }
        Kind::Symlink(target) => {
            // usize to u64: lossless.
            i.i_size = U64::new(target.len() as u64);
            if shape.runs.is_empty() {
                i.i_inline |= i_inline::INLINE_DATA | i_inline::DATA_EXIST;
                put(i.i_addr.as_mut_bytes(), INLINE_START, &**target);
            }
        }
        Kind::CharacterDevice(number) | Kind::BlockDevice(number) => {
            let [old, new] = device(*number)?;
            (i.i_addr[0], i.i_addr[1]) = (old, new);
        }
        Kind::Fifo | Kind::Socket => {}
    }
    Ok(node)
}

/// Sets the fields that all inodes have.
fn common(
    view: &View<'_>,
    at: usize,
    inode: &Inode,
    shape: &Shape,
    node: &mut InodeNode,
) -> Result<()> {
    let item = &view.census.items()[at];
    let metadata = &inode.metadata;
    let i = &mut node.i;
    i.i_mode = U16::new(types(&inode.kind).0 | metadata.mode & 0o7777);
    i.i_inline = i_inline::INLINE_XATTR;
    i.i_uid = U32::new(metadata.uid);
    i.i_gid = U32::new(metadata.gid);
    i.i_links = U32::new(item.links);
    // usize to u64: lossless.
    i.i_blocks = U64::new(1 + shape.nodes.len() as u64 + nodes::length(&shape.runs));
    let seconds = U64::new(metadata.mtime.seconds.cast_unsigned());
    let nanoseconds = U32::new(metadata.mtime.nanoseconds);
    (i.i_atime, i.i_atime_nsec) = (seconds, nanoseconds);
    (i.i_ctime, i.i_ctime_nsec) = (seconds, nanoseconds);
    (i.i_mtime, i.i_mtime_nsec) = (seconds, nanoseconds);
    i.i_flags = U32::new(flags(metadata.flags));
    if at > 0 {
        let name = view.census.name(view.tree, at);
        i.i_pino = U32::new(item.parent + ROOT_INODE);
        i.i_namelen = le32(name.len())?;
        put(&mut i.i_name, 0, name);
    }
    let data = view.layout.address(item.data_log, item.data);
    let addresses = &mut i.i_addr[..index(INODE_BLOCKS)];
    nodes::fill(&shape.runs, 0, data, addresses);
    for (number, other) in (0u32..).zip(&shape.nodes) {
        let nid = view.nid(item, number);
        match (other.kind, other.parent) {
            (NodeKind::Xattr, _) => i.i_xattr_nid = U32::new(nid),
            (_, None) => i.i_nid[other.slot] = U32::new(nid),
            _ => {}
        }
    }
    // The census has checked that the attributes are valid.
    let stream = xattr::stream(&metadata.xattrs).unwrap_or_default();
    let inline = &stream[..stream.len().min(INLINE_XATTR)];
    put(
        i.i_addr.as_mut_bytes(),
        4 * ADDRESSES - INLINE_XATTR,
        inline,
    );
    Ok(())
}

fn flags(flags: Flags) -> u32 {
    flags.bits() & FLAGS
}

/// Returns the block after the last one that exists.
fn end(shape: &Shape) -> u64 {
    shape.runs.last().map_or(0, |run| run.first + run.length)
}

/// Reads the contents of a small file into its inode.
fn inline(node: &mut InodeNode, content: &Content, opener: &mut Opener) -> Result<()> {
    node.i.i_inline |= i_inline::INLINE_DATA;
    if content.size == 0 {
        return Ok(());
    }
    node.i.i_inline |= i_inline::DATA_EXIST;
    let space = &mut node.i.i_addr.as_mut_bytes()[INLINE_START..];
    let mut opened = None;
    for range in content.data_ranges() {
        let opened = match &opened {
            Some(opened) => opened,
            None => opened.insert(opener.open(DataSource::Tree(content))?),
        };
        let start = index(range.offset);
        let buffer = &mut space[start..start + index(range.length)];
        opened.read(buffer, range.offset)?;
    }
    Ok(())
}

/// Returns the longest extent of a file, if Linux would remember it.
fn longest(view: &View<'_>, at: usize, shape: &Shape) -> Result<Option<Extent>, TooWide> {
    let item = &view.census.items()[at];
    // The first one of equal length.
    let longest = shape.runs.iter().rev().max_by_key(|run| run.length);
    let Some(run) = longest.filter(|run| run.length >= SHORTEST_EXTENT) else {
        return Ok(None);
    };
    let data = view.layout.address(item.data_log, item.data);
    Ok(Some(Extent {
        fofs: le32(run.first)?,
        blk_addr: le32(u64::from(data) + run.index)?,
        len: le32(run.length)?,
    }))
}

/// Returns the parts of a file of the tree that are copied to the image.
pub fn data_extents(view: &View<'_>, at: usize, content: &Content) -> Vec<DataExtent> {
    let item = &view.census.items()[at];
    let address = u64::from(view.layout.address(item.data_log, item.data));
    let runs = view.census.runs(view.tree, at);
    let extents = runs.iter().map(|run| DataExtent {
        file: view.census.number(item.id),
        file_offset: run.first * BLOCK_SIZE,
        offset: (address + run.index) * BLOCK_SIZE,
        length: (run.length * BLOCK_SIZE).min(content.size - run.first * BLOCK_SIZE),
    });
    extents.collect()
}

/// Returns the words of a device: its number in the old format if it fits in it, else 0 and the
/// number in the new format.
fn device(device: Device) -> Result<[U32; 2], TooWide> {
    let (major, minor) = (u64::from(device.major), u64::from(device.minor));
    let zero = U32::new(0);
    Ok(match major < 256 && minor < 256 {
        true => [le32(major << 8 | minor)?, zero],
        false => [
            zero,
            le32(minor & 0xff | major << 8 | (minor & !0xff) << 12)?,
        ],
    })
}
