//! Encoding of an inode in the inode table.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

use super::checksum::Seed;
use super::ondisk::{BLOCK_SIZE, IBlock, Inode, InodeRecord};
use super::xattr::Attributes;
use crate::fs::number::{TooWide, le16, le32, split32, split48, split64};
use crate::tree::{Device, Timestamp};

/// First and last second that an inode can represent: 34 bits, starting at -2^31.
pub const SECONDS: (i64, i64) = (-(1 << 31), (1 << 34) - (1 << 31) - 1);

/// The unit of `i_blocks` is 512 bytes, whatever the block size.
const SECTORS_PER_BLOCK: u64 = BLOCK_SIZE / 512;

/// The fields of an inode.
#[derive(Debug, Clone)]
pub struct Fields {
    /// File type and permissions.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Number of hard links.
    pub links: u32,
    /// Number of blocks of 4 KiB, including those of attributes and those that map others.
    pub blocks: u64,
    /// Flags.
    pub flags: u32,
    /// The value of all four timestamps.
    pub time: Timestamp,
    /// Extent tree, block map, short link target or device number.
    pub block: IBlock,
    /// The block of extended attributes, or 0.
    pub xattr_block: u64,
}

impl Fields {
    /// Encodes the inode `number`. `seed` is the seed of the file system.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn encode(
        &self,
        number: u32,
        attributes: Option<&Attributes<'_>>,
        seed: Seed,
    ) -> anyhow::Result<InodeRecord> {
        let mut record = InodeRecord::new_zeroed();
        let inode = &mut record.inode;
        inode.i_mode = U16::new(self.mode);
        (inode.i_uid, inode.l_i_uid_high) = split32(self.uid);
        (inode.i_gid, inode.l_i_gid_high) = split32(self.gid);
        (inode.i_size_lo, inode.i_size_high) = split64(self.size);
        inode.i_links_count = le16(self.links)?;
        (inode.i_blocks_lo, inode.l_i_blocks_high) = split48(self.blocks * SECTORS_PER_BLOCK)?;
        inode.i_flags = U32::new(self.flags);
        inode.i_block = self.block;
        (inode.i_file_acl_lo, inode.l_i_file_acl_high) = split48(self.xattr_block)?;
        inode.i_extra_isize = U16::new(Inode::EXTRA_ISIZE);
        let (seconds, extra) = time(self.time);
        (inode.i_atime, inode.i_atime_extra) = (seconds, extra);
        (inode.i_ctime, inode.i_ctime_extra) = (seconds, extra);
        (inode.i_mtime, inode.i_mtime_extra) = (seconds, extra);
        (inode.i_crtime, inode.i_crtime_extra) = (seconds, extra);
        if let Some(attributes) = attributes {
            attributes.write_inode(&mut record.ibody)?;
        }
        let checksum = seed.inode(number).then(record.as_bytes()).value();
        let inode = &mut record.inode;
        (inode.l_i_checksum_lo, inode.i_checksum_hi) = split32(checksum);
        Ok(record)
    }
}

/// Encodes a reserved inode that is not in use. It has only a checksum and, in the case of the bad
/// blocks list, the times that `mkfs.ext4` sets.
pub fn unused(number: u32, time_of: Option<Timestamp>, seed: Seed) -> InodeRecord {
    let mut record = InodeRecord::new_zeroed();
    if let Some(timestamp) = time_of {
        let (seconds, _) = time(timestamp);
        let inode = &mut record.inode;
        (inode.i_atime, inode.i_ctime, inode.i_mtime) = (seconds, seconds, seconds);
    }
    let checksum = seed.inode(number).then(record.as_bytes()).value();
    (record.inode.l_i_checksum_lo, _) = split32(checksum);
    record
}

/// Returns the low 32 bits of the seconds, and the field with two more bits of seconds below the
/// nanoseconds.
fn time(time: Timestamp) -> (U32, U32) {
    let (low, _) = split64(time.seconds.cast_unsigned());
    let above = time.seconds - i64::from(low.get().cast_signed());
    let (_, epoch) = split64(above.cast_unsigned());
    (low, U32::new(time.nanoseconds << 2 | epoch.get() & 3))
}

/// Returns the `i_block` of a device: in the old format if the numbers fit in it, else in the new
/// one.
///
/// # Errors
/// If the numbers don't fit in the new format either.
pub fn device(device: Device) -> Result<IBlock, TooWide> {
    let mut block = IBlock::default();
    let (major, minor) = (u64::from(device.major), u64::from(device.minor));
    if major < 256 && minor < 256 {
        block[0] = le32(major << 8 | minor)?;
    } else {
        block[1] = le32(minor & 0xff | major << 8 | (minor & !0xff) << 12)?;
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_times_in_34_bits_of_seconds_from_1901() {
        for (seconds, low, epoch) in [
            (0, 0, 0),
            (-1, 0xffff_ffff, 0),
            (SECONDS.0, 0x8000_0000, 0),
            (0x7fff_ffff, 0x7fff_ffff, 0),
            (0x8000_0000, 0x8000_0000, 1),
            (0xffff_ffff, 0xffff_ffff, 1),
            (0x1_0000_0000, 0, 1),
            (SECONDS.1, 0x7fff_ffff, 3),
        ] {
            let stamp = Timestamp {
                seconds,
                nanoseconds: 999_999_999,
            };
            let (seconds_field, extra) = time(stamp);
            let found = (seconds_field.get(), extra.get());
            assert_eq!(found, (low, 999_999_999 << 2 | epoch), "{seconds}");
        }
    }

    #[test]
    fn encodes_devices_in_two_formats() {
        let small = device(Device {
            major: 8,
            minor: 255,
        })
        .unwrap();
        assert_eq!(small.as_bytes()[..8], [0xff, 8, 0, 0, 0, 0, 0, 0]);
        let large = device(Device {
            major: 259,
            minor: 0x12345,
        })
        .unwrap();
        assert_eq!(large.as_bytes()[..8], [0, 0, 0, 0, 0x45, 0x03, 0x31, 0x12]);
    }

    #[test]
    fn encodes_an_unused_reserved_inode_as_mkfs_ext4_does() {
        // Inode 3 of an image with this UUID: its checksum is cf7c.
        let uuid = [
            0x13, 0xa6, 0xb5, 0x46, 0xf6, 0xbe, 0x44, 0x97, 0x8d, 0x2e, 0xfa, 0xc9, 0xa9, 0x0d,
            0x89, 0x5b,
        ];
        let record = unused(3, None, Seed::file_system(&uuid));
        assert_eq!(record.as_bytes()[0x7c..0x80], [0xcf, 0x7c, 0, 0]);
    }
}
