//! A [`Tree`] as the crate's declarations.

use mkext4::{FsBuilder, InodeHandle, Meta, ROOT, Result, SparseSeg, SpecialKind};

use super::{BLOCK, xattr};
use crate::tree::{Content, DataRange, InodeId, Kind, Metadata, Tree};

/// Declares everything in `tree`, parents first and names in byte order, and returns the handles
/// of the regular files.
pub fn declare(tree: &Tree, builder: &mut FsBuilder) -> Result<Vec<(InodeId, InodeHandle)>> {
    let mut files = Vec::new();
    let mut handles = vec![None; tree.inodes().len()];
    let root = &tree.inode(InodeId::ROOT).metadata;
    builder.set_meta(ROOT, meta(root))?;
    attributes(builder, ROOT, root)?;
    handles[InodeId::ROOT.index()] = Some(ROOT);
    // A stack and not recursion: a hostile tree may be deeper than the thread's stack.
    let mut stack = vec![(InodeId::ROOT, ROOT, 0)];
    while let Some((directory, parent, next)) = stack.pop() {
        let Some((name, id)) = tree.directory(directory).and_then(|d| d.nth(next)) else {
            continue;
        };
        stack.push((directory, parent, next + 1));
        let name = text(name)?;
        if let Some(known) = handles[id.index()] {
            builder.hardlink(parent, name, known)?;
            continue;
        }
        let inode = tree.inode(id);
        let meta = meta(&inode.metadata);
        let handle = match &inode.kind {
            Kind::Directory(_) => builder.mkdir(parent, name, meta)?,
            Kind::File(content) => {
                let handle = match segments(content) {
                    None => builder.file(parent, name, meta, content.size)?,
                    Some(segments) => builder.file_sparse(parent, name, meta, &segments)?,
                };
                files.push((id, handle));
                handle
            }
            Kind::Symlink(target) => builder.symlink(parent, name, text(target)?, meta)?,
            special => builder.mknod(parent, name, meta, special_kind(special)?)?,
        };
        attributes(builder, handle, &inode.metadata)?;
        handles[id.index()] = Some(handle);
        if let Kind::Directory(_) = inode.kind {
            stack.push((id, handle, 0));
        }
    }
    Ok(files)
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| mkext4::Error::Invalid(error.to_string()))
}

fn meta(metadata: &Metadata) -> Meta {
    let mtime = (metadata.mtime.seconds, metadata.mtime.nanoseconds);
    Meta::new(metadata.mode, metadata.uid, metadata.gid, mtime)
}

fn attributes(builder: &mut FsBuilder, handle: InodeHandle, metadata: &Metadata) -> Result<()> {
    metadata.xattrs.iter().try_for_each(|attribute| {
        let value = xattr::on_disk(attribute).map_err(mkext4::Error::Invalid)?;
        builder.set_xattr(handle, text(&attribute.name)?, &value)
    })
}

fn special_kind(kind: &Kind) -> Result<SpecialKind> {
    match kind {
        Kind::Fifo => Ok(SpecialKind::Fifo),
        Kind::Socket => Ok(SpecialKind::Socket),
        Kind::CharacterDevice(device) => Ok(SpecialKind::Char {
            major: device.major,
            minor: device.minor,
        }),
        Kind::BlockDevice(device) => Ok(SpecialKind::Block {
            major: device.major,
            minor: device.minor,
        }),
        Kind::Directory(_) | Kind::File(_) | Kind::Symlink(_) => {
            Err(mkext4::Error::Invalid("not a special file".to_owned()))
        }
    }
}

/// The parts of `content` that get blocks: its data, grown to whole blocks (but never beyond the
/// file), in order and apart. A hole keeps only whole blocks.
pub fn block_ranges(content: &Content) -> Vec<DataRange> {
    let mut ranges: Vec<DataRange> = Vec::new();
    for range in content.data_ranges() {
        let offset = range.offset / BLOCK * BLOCK;
        let end = range.offset.saturating_add(range.length);
        let end = end
            .checked_next_multiple_of(BLOCK)
            .map_or(content.size, |end| end.min(content.size));
        match ranges.last_mut() {
            Some(last) if last.offset + last.length >= offset => last.length = end - last.offset,
            _ if end > offset => ranges.push(DataRange {
                offset,
                length: end - offset,
            }),
            _ => {}
        }
    }
    ranges
}

/// The crate's map of a file with holes; `None` for a file without.
fn segments(content: &Content) -> Option<Vec<SparseSeg>> {
    content.data.as_ref()?;
    let mut segments = Vec::new();
    let mut at = 0;
    for range in block_ranges(content) {
        if range.offset > at {
            segments.push(SparseSeg::Hole(range.offset - at));
        }
        segments.push(SparseSeg::Data(range.length));
        at = range.offset + range.length;
    }
    if content.size > at {
        segments.push(SparseSeg::Hole(content.size - at));
    }
    Some(segments)
}
