//! Recognising what is in a partition.

use anyhow::Result;
use uuid::Uuid;

use super::disk::Disk;
use crate::escape;

/// Where the superblock of ext4 is, and within it its magic number, UUID and label
/// (kernel document `filesystems/ext4/super.rst`).
const SUPERBLOCK: usize = 1024;
const EXT4_MAGIC: (usize, [u8; 2]) = (SUPERBLOCK + 0x38, [0x53, 0xef]);
const EXT4_UUID: usize = SUPERBLOCK + 0x68;
const EXT4_LABEL: usize = SUPERBLOCK + 0x78;

/// Where a boot sector says which FAT it is; volume ID and label are before that, 15 and 11 bytes
/// (Microsoft FAT specification, "Extended BPB Structure").
const FAT_KINDS: [(usize, &[u8]); 3] = [(82, b"FAT32   "), (54, b"FAT16   "), (54, b"FAT12   ")];

/// What the bytes from `start` to `end` are, in some words.
///
/// # Errors
/// If they can't be read.
pub fn describe(disk: &Disk, start: u64, end: u64) -> Result<String> {
    let mut head = vec![0; 2048];
    let most = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    let count = most.min(head.len());
    disk.read(start, &mut head[..count], "a partition's first bytes")?;
    let (at, magic) = EXT4_MAGIC;
    if head[at..].starts_with(&magic) {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&head[EXT4_UUID..EXT4_UUID + 16]);
        let label = text(&head[EXT4_LABEL..EXT4_LABEL + 16]);
        return Ok(format!(
            "ext4, UUID {}, label \"{label}\"",
            Uuid::from_bytes(uuid)
        ));
    }
    for (at, kind) in FAT_KINDS {
        if head[at..].starts_with(kind) {
            let [a, b, c, d] = [head[at - 15], head[at - 14], head[at - 13], head[at - 12]];
            let id = u32::from_le_bytes([a, b, c, d]);
            return Ok(format!(
                "{}, volume ID {:04X}-{:04X}, label \"{}\"",
                text(kind),
                id >> 16,
                id & 0xffff,
                text(&head[at - 11..at])
            ));
        }
    }
    Ok("no file system that we know".to_owned())
}

/// A padded name, escaped.
fn text(padded: &[u8]) -> String {
    let name = padded.split(|&byte| byte == 0).next().unwrap_or_default();
    escape::bytes(name.trim_ascii_end())
}
