//! Recognizes the contents of a partition.

use anyhow::Result;
use uuid::Uuid;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::disk::Disk;
use crate::escape;
use crate::fs::Ext4SuperBlock;
use crate::fs::fat::BootSector;

/// The first bytes of a partition, which identify its contents.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    boot_sector: BootSector,
    unused: [u8; 512],
    superblock: Ext4SuperBlock,
}

const _: () = assert!(std::mem::offset_of!(Head, superblock) as u64 == Ext4SuperBlock::OFFSET);

/// Describes the bytes from `start` to `end` in a few words.
///
/// # Errors
/// If they cannot be read.
pub fn describe(disk: &Disk, start: u64, end: u64) -> Result<String> {
    let mut head = Head::new_zeroed();
    let bytes = head.as_mut_bytes();
    let most = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    let count = most.min(bytes.len());
    disk.read(start, &mut bytes[..count], "the start of a partition")?;
    let ext4 = &head.superblock;
    if ext4.s_magic == Ext4SuperBlock::MAGIC {
        return Ok(format!(
            "ext4, UUID {}, label \"{}\"",
            Uuid::from_bytes(ext4.s_uuid),
            text(&ext4.s_volume_name)
        ));
    }
    let fat16 = head.boot_sector.fat16().volume;
    let fat32 = head.boot_sector.fat32().volume;
    for (volume, kind) in [
        (&fat32, b"FAT32   "),
        (&fat16, b"FAT16   "),
        (&fat16, b"FAT12   "),
    ] {
        if volume.bs_fil_sys_type == *kind {
            let id = volume.bs_vol_id.get();
            return Ok(format!(
                "{}, volume ID {:04X}-{:04X}, label \"{}\"",
                text(kind),
                id >> 16,
                id & 0xffff,
                text(&volume.bs_vol_lab)
            ));
        }
    }
    Ok("no known file system".to_owned())
}

/// A padded name, escaped.
fn text(padded: &[u8]) -> String {
    let name = padded.split(|&byte| byte == 0).next().unwrap_or_default();
    escape::bytes(name.trim_ascii_end())
}
