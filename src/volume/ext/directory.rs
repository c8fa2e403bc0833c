//! Directories, read block by block: to programs that do not know it, the index of a hashed directory
//! looks like unused entries.

use anyhow::{Context, Result, ensure};
use zerocopy::FromBytes;

use super::{Ext, map};
use crate::fs::ext4::ondisk::DirEntry;
use crate::volume::contents::Contents;
use crate::volume::node::{Kind, Node};

/// The longest supported directory, in bytes. With names of usual lengths, it has a million entries.
const LONGEST: u64 = 64 << 20;

/// Lists the directory with inode `number`.
///
/// # Errors
/// If it is damaged, or too long.
pub fn list(ext: &Ext<'_>, number: u64) -> Result<Vec<(Vec<u8>, Node)>> {
    let inode = ext.inode(number)?;
    ensure!(
        inode.kind() == Kind::Directory,
        "it is a {}",
        inode.kind().name()
    );
    let size = inode.size();
    ensure!(
        size <= LONGEST,
        "it has {size} bytes, but at most {LONGEST} are supported"
    );
    let contents = Contents::Runs {
        size,
        runs: map::blocks(ext, &inode, number)?.runs,
    };
    let mut names = Vec::new();
    let length = ext.geometry.block;
    let mut block = vec![0; usize::try_from(length)?];
    let mut at = 0;
    while at < size {
        // A hole in a directory has no entries.
        if contents.next_data(at) < at.saturating_add(length) {
            contents.read(&ext.region, at, &mut block)?;
            entries(ext, &block, &mut names)
                .with_context(|| format!("reading its block at byte {at}"))?;
        }
        at = at.saturating_add(length);
    }
    Ok(names)
}

/// Reads the entries of a block.
fn entries(ext: &Ext<'_>, block: &[u8], names: &mut Vec<(Vec<u8>, Node)>) -> Result<()> {
    let mut at = 0;
    while at < block.len() {
        let damaged = || format!("the entry at byte {at} is damaged");
        let rest = &block[at..];
        let (entry, after) = DirEntry::read_from_prefix(rest)
            .ok()
            .with_context(damaged)?;
        // The longest block does not fit in the field.
        let length = match entry.rec_len.get() {
            0 | u16::MAX if block.len() == 1 << 16 => rest.len(),
            length => length.into(),
        };
        ensure!(
            (8..=rest.len()).contains(&length) && length % 4 == 0,
            "the entry at byte {at} has {length} bytes: the file system is damaged"
        );
        let name_length = match ext.geometry.has_types {
            true => usize::from(entry.name_len),
            // The field for the type was the high half of the length.
            false => usize::from(u16::from_le_bytes([entry.name_len, entry.file_type])),
        };
        let inode = u64::from(entry.inode.get());
        if inode != 0 {
            let name = after
                .get(..name_length)
                .filter(|_| 8 + name_length <= length);
            let name = name.with_context(damaged)?;
            ensure!(
                !name.is_empty() && !name.contains(&b'/') && !name.contains(&0),
                "the entry at byte {at} has an invalid name: the file system is damaged"
            );
            if name != b"." && name != b".." {
                names.push((name.to_vec(), Node { id: inode }));
            }
        }
        at = at.saturating_add(length);
    }
    Ok(())
}
