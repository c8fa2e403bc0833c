//! The superblock (kernel, Documentation/filesystems/ext4/super.rst).

use super::bytes::put;
use super::geometry::Geometry;
use super::{BLOCK, JOURNAL_INODE, checksum, dirhash};
use crate::tree::Timestamp;
use uuid::Uuid;

/// Length, and distance from the beginning of the file system.
pub const LENGTH: usize = 1024;

const HAS_JOURNAL: u64 = 0x4;
const EXT_ATTR: u64 = 0x8;
const RESIZE_INODE: u64 = 0x10;
const DIR_INDEX: u64 = 0x20;

/// `filetype`, `extent`, `64bit`, `flex_bg`.
const INCOMPATIBLE: u64 = 0x2 | 0x40 | 0x80 | 0x200;
/// `sparse_super`, `large_file`, `huge_file`, `dir_nlink`, `extra_isize`, `metadata_csum`.
const READ_ONLY_COMPATIBLE: u64 = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400;

/// What is in a superblock.
pub struct Superblock<'a> {
    /// The sizes.
    pub geometry: &'a Geometry,
    /// The file system's UUID.
    pub uuid: Uuid,
    /// Its label, at most 16 bytes.
    pub label: &'a [u8],
    /// The seed of directory hashes.
    pub hash_seed: dirhash::Seed,
    /// When it was made.
    pub time: Timestamp,
    /// Free blocks.
    pub free_blocks: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// `i_block` of the journal.
    pub journal: [u8; 60],
}

impl Superblock<'_> {
    /// The copy in `group`; backups don't say that the file system is clean.
    pub fn encode(&self, group: u64) -> [u8; LENGTH] {
        let geometry = self.geometry;
        let mut block = [0; LENGTH];
        let mut field = |at: usize, width: usize, value: u64| put(&mut block, at, width, value);
        field(0x00, 4, geometry.inodes());
        for (low, high, value) in [
            (0x04, 0x150, geometry.blocks),
            (0x08, 0x154, geometry.reserved),
            (0x0c, 0x158, self.free_blocks),
        ] {
            field(low, 4, value);
            field(high, 4, value >> 32);
        }
        field(0x10, 4, self.free_inodes);
        field(0x18, 4, 2); // blocks of 2^(10 + 2) bytes
        field(0x1c, 4, 2); // and clusters
        field(0x20, 4, geometry.blocks_per_group);
        field(0x24, 4, geometry.blocks_per_group); // clusters
        field(0x28, 4, geometry.inodes_per_group);
        let seconds = self.time.seconds.cast_unsigned();
        for (low, high) in [(0x30, 0x274), (0x40, 0x277), (0x108, 0x276)] {
            field(low, 4, seconds); // written, checked, made
            field(high, 1, seconds >> 32);
        }
        field(0x36, 2, 0xffff); // no check after some number of mounts
        field(0x38, 2, 0xef53);
        field(0x3a, 2, u64::from(group == 0)); // clean
        field(0x3c, 2, 1); // go on after errors
        field(0x4c, 4, 1); // with inodes of other sizes than 128
        field(0x54, 4, super::FIRST_FREE_INODE);
        field(0x58, 2, super::INODE_SIZE);
        field(0x5a, 2, group.min(0xffff));
        let mut compatible = EXT_ATTR | DIR_INDEX;
        if geometry.resize_inode {
            compatible |= RESIZE_INODE;
        }
        if geometry.journal_blocks > 0 {
            compatible |= HAS_JOURNAL;
        }
        field(0x5c, 4, compatible);
        field(0x60, 4, INCOMPATIBLE);
        field(0x64, 4, READ_ONLY_COMPATIBLE);
        field(0xce, 2, geometry.reserved_descriptor_blocks);
        field(0xfc, 1, 1); // half_md4
        field(0xfe, 2, super::DESCRIPTOR_SIZE);
        field(0x100, 4, 0xc); // user_xattr, acl
        field(0x15c, 2, 32); // fields of inodes beyond 128 bytes
        field(0x15e, 2, 32);
        field(0x160, 4, 1); // bytes of hashed names are signed
        field(0x174, 1, super::FLEX_SIZE.ilog2().into());
        field(0x175, 1, 1); // CRC-32C
        // KiB ever written: everything that is in use.
        field(
            0x178,
            8,
            (geometry.blocks - self.free_blocks) * (BLOCK / 1024),
        );
        field(
            0x248,
            4,
            geometry.overhead() - u64::from(geometry.resize_inode),
        );
        if geometry.journal_blocks > 0 {
            let size = geometry.journal_blocks * BLOCK;
            field(0xe0, 4, u64::from(JOURNAL_INODE));
            field(0xfd, 1, 1); // a copy of the journal's inode follows
            field(0x148, 4, size >> 32);
            field(0x14c, 4, size);
            block[0x10c..0x148].copy_from_slice(&self.journal);
        }
        block[0x68..0x78].copy_from_slice(self.uuid.as_bytes());
        block[0x78..0x78 + self.label.len()].copy_from_slice(self.label);
        block[0xec..0xfc].copy_from_slice(&self.hash_seed.0);
        let checksum = checksum::superblock(&block[..LENGTH - 4]);
        put(&mut block, LENGTH - 4, 4, u64::from(checksum));
        block
    }
}
