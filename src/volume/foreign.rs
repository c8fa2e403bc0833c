//! Recognizes what this program does not read files from, by the superblock: btrfs, XFS, F2FS, EROFS,
//! SquashFS, swap, LUKS, and some more of which only the name is known.

use anyhow::Result;

use super::field::Fields;
use super::{Region, Volume};

/// The bytes at the beginning of a partition that have the superblocks.
const HEAD: usize = 128 << 10;

/// A signature.
struct Signature {
    at: usize,
    bytes: &'static [u8],
    read: fn(&Fields<'_>, &Region<'_>) -> Result<Volume>,
}

const fn signature(
    at: usize,
    bytes: &'static [u8],
    read: fn(&Fields<'_>, &Region<'_>) -> Result<Volume>,
) -> Signature {
    Signature { at, bytes, read }
}

/// Where btrfs has its first superblock, in bytes.
const BTRFS: usize = 64 << 10;

/// Where F2FS and EROFS have their superblocks, in bytes.
const AT_1K: usize = 1024;

/// The page sizes for which swap space is made. The signature is at the end of the first page.
const SWAP: &[u8] = b"SWAPSPACE2";

const SIGNATURES: [Signature; 14] = [
    signature(0, b"LUKS\xba\xbe", luks),
    signature(0, b"XFSB", xfs),
    signature(0, b"hsqs", squashfs),
    signature(AT_1K, b"\xe2\xe1\xf5\xe0", erofs),
    signature(AT_1K, b"\x10\x20\xf5\xf2", f2fs),
    signature(BTRFS + 0x40, b"_BHRfS_M", btrfs),
    signature((4 << 10) - 10, SWAP, |fields, _| Ok(swap(fields, 4 << 10))),
    signature((16 << 10) - 10, SWAP, |fields, _| {
        Ok(swap(fields, 16 << 10))
    }),
    signature((64 << 10) - 10, SWAP, |fields, _| {
        Ok(swap(fields, 64 << 10))
    }),
    signature(3, b"NTFS    ", |_, _| Ok(Volume::new("ntfs"))),
    signature(3, b"EXFAT   ", |_, _| Ok(Volume::new("exfat"))),
    signature(512, b"LABELONE", |_, _| Ok(Volume::new("LVM2_member"))),
    signature(0x8001, b"CD001", |_, _| Ok(Volume::new("iso9660"))),
    signature(0, b"\x45\x3d\xcd\x28", |_, _| Ok(Volume::new("cramfs"))),
];

/// Recognizes the contents of `region`.
///
/// # Errors
/// If it cannot be read.
pub fn probe(region: &Region<'_>) -> Result<Option<Volume>> {
    let mut head = vec![0; HEAD];
    region.read_padded(0, &mut head, "the start of a partition")?;
    let is = |it: &&Signature| {
        head.get(it.at..)
            .is_some_and(|rest| rest.starts_with(it.bytes))
    };
    let Some(found) = SIGNATURES.iter().find(is) else {
        return Ok(None);
    };
    let mut volume = (found.read)(&Fields(&head), region)?;
    if let Some(size) = volume.size
        && size > region.length
    {
        volume.problem = Some(format!(
            "the file system has {size} bytes, but the partition only {}: it is truncated or damaged",
            region.length
        ));
    }
    Ok(Some(volume))
}

/// Bytes, unless they are more than a disk can have.
fn product(blocks: u64, block: u64) -> Option<u64> {
    blocks.checked_mul(block)
}

/// Btrfs (kernel, `include/uapi/linux/btrfs_tree.h`, `struct btrfs_super_block`).
fn btrfs(fields: &Fields<'_>, _: &Region<'_>) -> Result<Volume> {
    let at = |offset: usize| BTRFS.saturating_add(offset);
    let mut volume = Volume::new("btrfs");
    volume.uuid = fields.uuid(at(0x20));
    volume.label = fields.text(at(0x12b), 256);
    let (total, used) = (fields.le64(at(0x70)), fields.le64(at(0x78)));
    volume.size = Some(total);
    volume.used = Some(used);
    volume.free = total.checked_sub(used);
    let facts = &mut volume.facts;
    facts.add("generation", fields.le64(at(0x48)));
    facts.add("devices", fields.le64(at(0x88)));
    facts.add("sector_size", fields.le32(at(0x90)));
    facts.add("node_size", fields.le32(at(0x94)));
    facts.add("compatible_features", fields.le64(at(0xac)));
    facts.add("read_only_features", fields.le64(at(0xb4)));
    facts.add("incompatible_features", fields.le64(at(0xbc)));
    facts.add("checksum_type", fields.le16(at(0xc4)));
    Ok(volume)
}

/// XFS (kernel, `fs/xfs/libxfs/xfs_format.h`, `struct xfs_dsb`).
fn xfs(fields: &Fields<'_>, _: &Region<'_>) -> Result<Volume> {
    let mut volume = Volume::new("xfs");
    volume.uuid = fields.uuid(32);
    volume.label = fields.text(108, 12);
    let block = u64::from(fields.be32(4));
    let (blocks, free) = (fields.be64(8), fields.be64(144));
    volume.size = product(blocks, block);
    volume.free = product(free, block);
    volume.used = blocks
        .checked_sub(free)
        .and_then(|used| product(used, block));
    let facts = &mut volume.facts;
    facts.add("block_size", block);
    facts.add("blocks", blocks);
    facts.add("free_blocks", free);
    facts.add("sector_size", fields.be16(102));
    facts.add("inode_size", fields.be16(104));
    facts.add("allocation_groups", fields.be32(88));
    facts.add("allocation_group_blocks", fields.be32(84));
    facts.add("log_blocks", fields.be32(96));
    facts.add("inodes", fields.be64(128));
    facts.add("free_inodes", fields.be64(136));
    facts.add("version", fields.be16(100) & 0xf);
    Ok(volume)
}

/// F2FS (kernel, `include/linux/f2fs_fs.h`, `struct f2fs_super_block` and `struct f2fs_checkpoint`).
fn f2fs(fields: &Fields<'_>, region: &Region<'_>) -> Result<Volume> {
    let at = |offset: usize| AT_1K.saturating_add(offset);
    let mut volume = Volume::new("f2fs");
    volume.uuid = fields.uuid(at(108));
    volume.label = fields.utf16(at(124), 512);
    let shift = fields.le32(at(16));
    let block = 1_u64
        .checked_shl(shift)
        .filter(|_| shift <= 16)
        .unwrap_or(0);
    let blocks = fields.le64(at(36));
    volume.size = product(blocks, block);
    volume.facts.add("block_size", block);
    volume.facts.add("blocks", blocks);
    let version = format!("{}.{}", fields.le16(at(4)), fields.le16(at(6)));
    volume.facts.add("version", version);
    volume.facts.add("segments", fields.le32(at(48)));
    // There are two checkpoints, a segment apart. The one with the higher version counts.
    let first = u64::from(fields.le32(at(76)));
    let segment = 1_u64.checked_shl(fields.le32(at(20))).unwrap_or(0);
    let mut newest = (0, None);
    for start in [first, first.saturating_add(segment)] {
        let mut checkpoint = [0; 24];
        let start = start.saturating_mul(block);
        region.read_padded(start, &mut checkpoint, "a checkpoint of F2FS")?;
        let checkpoint = Fields(&checkpoint);
        let version = checkpoint.le64(0);
        if version > newest.0 {
            newest = (version, Some((checkpoint.le64(8), checkpoint.le64(16))));
        }
    }
    if let (version, Some((available, used))) = newest {
        volume.facts.add("checkpoint", version);
        volume.used = product(used, block);
        volume.free = available
            .checked_sub(used)
            .and_then(|free| product(free, block));
    }
    Ok(volume)
}

/// EROFS (kernel, `fs/erofs/erofs_fs.h`, `struct erofs_super_block`).
fn erofs(fields: &Fields<'_>, _: &Region<'_>) -> Result<Volume> {
    let at = |offset: usize| AT_1K.saturating_add(offset);
    let mut volume = Volume::new("erofs");
    volume.uuid = fields.uuid(at(48));
    volume.label = fields.text(at(64), 16);
    let shift = u32::from(fields.bytes::<1>(at(12))[0]);
    let block = 1_u64
        .checked_shl(shift)
        .filter(|_| shift <= 16)
        .unwrap_or(0);
    let blocks = u64::from(fields.le32(at(36)));
    volume.size = product(blocks, block);
    volume.used = volume.size;
    volume.free = Some(0);
    let facts = &mut volume.facts;
    facts.add("block_size", block);
    facts.add("blocks", blocks);
    facts.add("inodes", fields.le64(at(16)));
    facts.add("time", fields.le64(at(24)));
    facts.add("incompatible_features", fields.le32(at(80)));
    Ok(volume)
}

/// SquashFS (kernel, `fs/squashfs/squashfs_fs.h`, `struct squashfs_super_block`).
fn squashfs(fields: &Fields<'_>, _: &Region<'_>) -> Result<Volume> {
    let mut volume = Volume::new("squashfs");
    volume.size = Some(fields.le64(40));
    volume.used = volume.size;
    volume.free = Some(0);
    let facts = &mut volume.facts;
    facts.add(
        "version",
        format!("{}.{}", fields.le16(28), fields.le16(30)),
    );
    facts.add("inodes", fields.le32(0x04));
    facts.add("time", fields.le32(0x08));
    facts.add("block_size", fields.le32(0x0c));
    let compression = match fields.le16(0x14) {
        1 => "gzip",
        2 => "lzma",
        3 => "lzo",
        4 => "xz",
        5 => "lz4",
        6 => "zstd",
        _ => "unknown",
    };
    facts.add("compression", compression);
    Ok(volume)
}

/// Swap space for pages of `page` bytes (kernel, `include/linux/swap.h`, `union swap_header`).
fn swap(fields: &Fields<'_>, page: u64) -> Volume {
    let mut volume = Volume::new("swap");
    volume.uuid = fields.uuid(AT_1K.saturating_add(12));
    volume.label = fields.text(AT_1K.saturating_add(28), 16);
    let pages = u64::from(fields.le32(AT_1K.saturating_add(4))).saturating_add(1);
    volume.size = product(pages, page);
    volume.facts.add("page_size", page);
    volume.facts.add("pages", pages);
    volume.facts.add("version", fields.le32(AT_1K));
    volume
}

/// LUKS, version 1 or 2 (cryptsetup's "LUKS On-Disk Format Specification" and "LUKS2 On-Disk Format").
fn luks(fields: &Fields<'_>, _: &Region<'_>) -> Result<Volume> {
    let mut volume = Volume::new("crypto_LUKS");
    volume.uuid = fields.text(168, 40);
    let version = fields.be16(6);
    volume.facts.add("version", version);
    if version == 1 {
        let cipher = format!("{}-{}", fields.text(8, 32), fields.text(40, 32));
        volume.facts.add("cipher", cipher);
        volume.facts.add("hash", fields.text(72, 32));
    } else {
        volume.label = fields.text(24, 48);
        volume.facts.add("header_size", fields.be64(8));
        volume.facts.add("checksum", fields.text(72, 32));
    }
    Ok(volume)
}
