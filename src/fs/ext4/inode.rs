//! Inodes of 256 bytes (kernel, Documentation/filesystems/ext4/inodes.rst).

use super::INODE_LENGTH;
use super::bytes::{low32, put};
use super::checksum::Seed;
use super::xattr::Attributes;
use crate::tree::{Device, Timestamp};

/// The inode's blocks are an extent tree.
pub const EXTENTS: u64 = 0x8_0000;
/// The directory is hashed.
pub const INDEX: u64 = 0x1000;

/// Types of inodes, as in `i_mode`.
pub mod mode {
    pub const FIFO: u16 = 0o010_000;
    pub const CHARACTER_DEVICE: u16 = 0o020_000;
    pub const DIRECTORY: u16 = 0o040_000;
    pub const BLOCK_DEVICE: u16 = 0o060_000;
    pub const FILE: u16 = 0o100_000;
    pub const SYMLINK: u16 = 0o120_000;
    pub const SOCKET: u16 = 0o140_000;
}

/// Most names of a file; a directory with more subdirectories says 1.
pub const MOST_LINKS: u32 = 65_000;

/// First and last second that an inode can say: 34 bits, from -2^31 on.
pub const SECONDS: std::ops::RangeInclusive<i64> = -(1 << 31)..=(1 << 34) - (1 << 31) - 1;

/// What is in an inode.
#[derive(Debug, Clone)]
pub struct Fields {
    /// Type and permissions.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Names.
    pub links: u32,
    /// Blocks of 4 KiB, those of attributes and of the extent tree included.
    pub blocks: u64,
    /// Flags.
    pub flags: u64,
    /// All four times.
    pub time: Timestamp,
    /// Extent tree, short link target or device.
    pub block: [u8; 60],
    /// The block of extended attributes, or 0.
    pub xattr_block: u64,
}

impl Fields {
    /// The inode with the number `number`. `seed` is the file system's.
    pub fn encode(
        &self,
        number: u32,
        attributes: Option<&Attributes<'_>>,
        seed: Seed,
    ) -> [u8; INODE_LENGTH] {
        let mut inode = [0; INODE_LENGTH];
        let sectors = self.blocks * 8;
        put(&mut inode, 0x00, 2, u64::from(self.mode));
        put(&mut inode, 0x02, 2, u64::from(self.uid));
        put(&mut inode, 0x78, 2, u64::from(self.uid >> 16));
        put(&mut inode, 0x18, 2, u64::from(self.gid));
        put(&mut inode, 0x7a, 2, u64::from(self.gid >> 16));
        put(&mut inode, 0x04, 4, self.size);
        put(&mut inode, 0x6c, 4, self.size >> 32);
        put(&mut inode, 0x1a, 2, u64::from(self.links));
        put(&mut inode, 0x1c, 4, sectors);
        put(&mut inode, 0x74, 2, sectors >> 32);
        put(&mut inode, 0x20, 4, self.flags);
        inode[0x28..0x64].copy_from_slice(&self.block);
        put(&mut inode, 0x68, 4, self.xattr_block);
        put(&mut inode, 0x76, 2, self.xattr_block >> 32);
        put(&mut inode, 0x80, 2, 32); // length of the fields from here on
        let (seconds, extra) = time(self.time);
        for (at, extra_at) in [(0x08, 0x8c), (0x0c, 0x84), (0x10, 0x88), (0x90, 0x94)] {
            put(&mut inode, at, 4, u64::from(seconds));
            put(&mut inode, extra_at, 4, u64::from(extra));
        }
        if let Some(attributes) = attributes {
            attributes.write_inode(&mut inode[0xa0..]);
        }
        let checksum = u64::from(seed.inode(number).then(&inode).value());
        put(&mut inode, 0x7c, 2, checksum);
        put(&mut inode, 0x82, 2, checksum >> 16);
        inode
    }
}

/// A reserved inode that is not in use: nothing but a checksum, and the times that `mkfs.ext4`
/// gives the list of bad blocks.
pub fn unused(number: u32, time_of: Option<Timestamp>, seed: Seed) -> [u8; INODE_LENGTH] {
    let mut inode = [0; INODE_LENGTH];
    if let Some(timestamp) = time_of {
        for at in [0x08, 0x0c, 0x10] {
            put(&mut inode, at, 4, u64::from(time(timestamp).0));
        }
    }
    let checksum = seed.inode(number).then(&inode).value();
    put(&mut inode, 0x7c, 2, u64::from(checksum));
    inode
}

/// Low seconds, and the field with nanoseconds above two more bits of seconds.
fn time(time: Timestamp) -> (u32, u32) {
    let low = low32(time.seconds.cast_unsigned());
    let epoch = (time.seconds - i64::from(low.cast_signed())) >> 32;
    let epoch = low32(epoch.cast_unsigned()) & 3;
    (low, time.nanoseconds << 2 | epoch)
}

/// `i_block` of a device: the old form where the numbers fit in it, else the new one.
pub fn device(device: Device) -> [u8; 60] {
    let mut block = [0; 60];
    let (major, minor) = (u64::from(device.major), u64::from(device.minor));
    if major < 256 && minor < 256 {
        put(&mut block, 0, 2, major << 8 | minor);
    } else {
        put(
            &mut block,
            4,
            4,
            minor & 0xff | major << 8 | (minor & !0xff) << 12,
        );
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_34_bits_of_seconds_from_1901_on() {
        for (seconds, low, epoch) in [
            (0, 0, 0),
            (-1, 0xffff_ffff, 0),
            (*SECONDS.start(), 0x8000_0000, 0),
            (0x7fff_ffff, 0x7fff_ffff, 0),
            (0x8000_0000, 0x8000_0000, 1),
            (0xffff_ffff, 0xffff_ffff, 1),
            (0x1_0000_0000, 0, 1),
            (*SECONDS.end(), 0x7fff_ffff, 3),
        ] {
            let stamp = Timestamp {
                seconds,
                nanoseconds: 999_999_999,
            };
            assert_eq!(time(stamp), (low, 999_999_999 << 2 | epoch), "{seconds}");
        }
    }

    #[test]
    fn devices_have_two_forms() {
        let small = device(Device {
            major: 8,
            minor: 255,
        });
        assert_eq!(small[..8], [0xff, 8, 0, 0, 0, 0, 0, 0]);
        let large = device(Device {
            major: 259,
            minor: 0x12345,
        });
        assert_eq!(large[..8], [0, 0, 0, 0, 0x45, 0x03, 0x31, 0x12]);
    }

    #[test]
    fn an_unused_reserved_inode_is_as_mkfs_ext4_leaves_it() {
        // Inode 3 of an image with this UUID: its checksum is cf7c.
        let uuid = [
            0x13, 0xa6, 0xb5, 0x46, 0xf6, 0xbe, 0x44, 0x97, 0x8d, 0x2e, 0xfa, 0xc9, 0xa9, 0x0d,
            0x89, 0x5b,
        ];
        let inode = unused(3, None, Seed::file_system(&uuid));
        assert_eq!(inode[0x7c..0x80], [0xcf, 0x7c, 0, 0]);
    }
}
