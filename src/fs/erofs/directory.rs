//! Directories: blocks of entries that are sorted by name, `.` and `..` among them.

use std::iter;

use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use super::ondisk::{BLOCK_SIZE, Dirent, file_type};
use crate::fs::number::{TooWide, index, le16};
use crate::tree::{Directory, InodeId, Kind};

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// The directory itself.
    Here,
    /// Its parent.
    Above,
    /// A name in the tree.
    Name(&'a [u8], InodeId),
}

impl<'a> Entry<'a> {
    fn name(&self) -> &'a [u8] {
        match self {
            Entry::Here => b".",
            Entry::Above => b"..",
            Entry::Name(name, _) => name,
        }
    }

    fn length(&self) -> u64 {
        // usize to u64: lossless on every target Rust has.
        (size_of::<Dirent>() + self.name().len()) as u64
    }
}

/// Returns all entries, sorted.
fn entries(directory: &Directory) -> impl Iterator<Item = Entry<'_>> {
    let mut dots = [Entry::Here, Entry::Above].into_iter().peekable();
    let mut names = directory
        .iter()
        .map(|(name, id)| Entry::Name(name, id))
        .peekable();
    iter::from_fn(move || match (dots.peek(), names.peek()) {
        (Some(dot), Some(name)) if name.name() < dot.name() => names.next(),
        (Some(_), _) => dots.next(),
        _ => names.next(),
    })
}

/// Returns the length of a directory in bytes. All blocks but the last are full.
pub fn length(directory: &Directory) -> u64 {
    entries(directory).fold(0, |length, entry| {
        let used = length % BLOCK_SIZE;
        match used + entry.length() > BLOCK_SIZE {
            true => length - used + BLOCK_SIZE + entry.length(),
            false => length + entry.length(),
        }
    })
}

/// Passes the blocks of a directory to `emit`, each without the zeros at its end. `number` returns
/// the number of an inode on disk, and its type.
///
/// # Errors
/// Those of `emit`.
pub fn encode(
    directory: &Directory,
    number: impl Fn(Entry<'_>) -> (u64, u8),
    mut emit: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut block = Vec::new();
    let mut length = 0;
    let mut out = Vec::new();
    for entry in entries(directory) {
        if length + entry.length() > BLOCK_SIZE {
            put_block(&block, &number, &mut out)?;
            emit(&out)?;
            block.clear();
            length = 0;
        }
        length += entry.length();
        block.push(entry);
    }
    put_block(&block, &number, &mut out)?;
    emit(&out)
}

fn put_block(
    block: &[Entry<'_>],
    number: &impl Fn(Entry<'_>) -> (u64, u8),
    out: &mut Vec<u8>,
) -> Result<(), TooWide> {
    out.clear();
    let mut name_at = block.len() * size_of::<Dirent>();
    for &entry in block {
        let (nid, file_type) = number(entry);
        let dirent = Dirent {
            nid: U64::new(nid),
            nameoff: le16(name_at)?,
            file_type,
            reserved: 0,
        };
        out.extend_from_slice(dirent.as_bytes());
        name_at += entry.name().len();
    }
    for entry in block {
        out.extend_from_slice(entry.name());
    }
    debug_assert!(out.len() <= index(BLOCK_SIZE));
    Ok(())
}

/// Returns the type of an inode as in directory entries.
pub fn type_of(kind: &Kind) -> u8 {
    match kind {
        Kind::Directory(_) => file_type::DIR,
        Kind::File(_) => file_type::REG_FILE,
        Kind::Symlink(_) => file_type::SYMLINK,
        Kind::Fifo => file_type::FIFO,
        Kind::Socket => file_type::SOCK,
        Kind::CharacterDevice(_) => file_type::CHRDEV,
        Kind::BlockDevice(_) => file_type::BLKDEV,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Inode, Metadata, Tree};

    fn tree(names: &[&[u8]]) -> Tree {
        let mut tree = Tree::new(Metadata::new(0o755));
        for name in names {
            let inode = Inode {
                metadata: Metadata::new(0o644),
                kind: Kind::File(Content::bytes(Vec::new())),
            };
            tree.insert(InodeId::ROOT, name, inode).unwrap();
        }
        tree
    }

    #[test]
    fn dots_are_sorted_among_the_names() {
        for (names, expected) in [
            (&[][..], &[".", ".."][..]),
            (&["a"], &[".", "..", "a"]),
            (&["!", ".!", "..."], &["!", ".", ".!", "..", "..."]),
            (&["!"], &["!", ".", ".."]),
        ] {
            let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
            let tree = tree(&names);
            let directory = tree.directory(InodeId::ROOT).unwrap();
            let found: Vec<&[u8]> = entries(directory).map(|entry| entry.name()).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|name| name.as_bytes()).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_length_is_that_of_the_blocks() {
        // "." and ".." take 27 bytes; a name of 255 takes 267.
        for count in [0usize, 1, 14, 15, 16, 29, 30, 31, 100] {
            for length in [4, 101, 255] {
                let names: Vec<Vec<u8>> = (0..count)
                    .map(|number| format!("{number:0>length$}").into_bytes())
                    .collect();
                let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                let tree = tree(&names);
                let directory = tree.directory(InodeId::ROOT).unwrap();
                let mut total = 0u64;
                encode(
                    directory,
                    |_| (7, 1),
                    |block| {
                        assert_eq!(total % BLOCK_SIZE, 0);
                        total += block.len() as u64;
                        if total < super::length(directory) {
                            total = total.next_multiple_of(BLOCK_SIZE);
                        }
                        Ok(())
                    },
                )
                .unwrap();
                assert_eq!(total, super::length(directory), "{count} of {length}");
            }
        }
    }
}
