//! Encoding of an inode.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::ondisk::{Dinode, be32, di_flags, di_flags2, di_format, put, seal};
use crate::fs::number::{TooWide, le8};
use crate::tree::{Device, Flags, Timestamp};

/// First and last second that an inode can represent (`XFS_BIGTIME_TIME_MAX`).
pub const TIMES: std::ops::RangeInclusive<i64> =
    -Dinode::EPOCH..=(18_446_744_073 & !3) - Dinode::EPOCH;

/// Bits of flags that XFS has, in `FS_IOC_GETFLAGS` and on disk.
const FLAGS: [(u32, u16); 5] = [
    (0x8, di_flags::SYNC),
    (0x10, di_flags::IMMUTABLE),
    (0x20, di_flags::APPEND),
    (0x40, di_flags::NODUMP),
    (0x80, di_flags::NOATIME),
];

/// Data or attributes in an inode.
#[derive(Debug, Clone, Default)]
pub struct Fork {
    /// See [`di_format`].
    pub format: u8,
    /// Number of extents.
    pub extents: u64,
    /// What is in the inode.
    pub bytes: Vec<u8>,
}

impl Fork {
    /// Data or attributes that are in the inode themselves.
    pub fn short(bytes: Vec<u8>) -> Fork {
        Fork {
            format: di_format::LOCAL,
            extents: 0,
            bytes,
        }
    }
}

/// The fields of an inode.
#[derive(Debug, Clone)]
pub struct Fields {
    /// Type and permissions.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of hard links.
    pub links: u32,
    /// Length in bytes.
    pub size: u64,
    /// Number of blocks: data, attributes, and the tree of extents.
    pub blocks: u64,
    /// See [`di_flags`].
    pub flags: u16,
    /// The value of all four timestamps.
    pub time: Timestamp,
    /// Data.
    pub data: Fork,
    /// Attributes, and where they begin in the inode.
    pub attributes: Option<(usize, Fork)>,
}

impl Fields {
    /// Encodes the inode `number`.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn encode(&self, number: u64, uuid: &[u8; 16]) -> Result<Dinode, TooWide> {
        let mut inode = unused_fields(number, uuid);
        inode.di_mode = U16::new(self.mode);
        inode.di_format = self.data.format;
        inode.di_uid = U32::new(self.uid);
        inode.di_gid = U32::new(self.gid);
        inode.di_nlink = U32::new(self.links);
        inode.di_big_nextents = U64::new(self.data.extents);
        let time = time(self.time);
        inode.di_atime = time;
        inode.di_mtime = time;
        inode.di_ctime = time;
        inode.di_crtime = time;
        inode.di_size = U64::new(self.size);
        inode.di_nblocks = U64::new(self.blocks);
        inode.di_aformat = di_format::EXTENTS;
        inode.di_flags = U16::new(self.flags);
        inode.di_changecount = U64::new(1);
        inode.di_flags2 = U64::new(di_flags2::BIGTIME | di_flags2::NREXT64);
        put(&mut inode.literal, 0, &self.data.bytes[..]);
        if let Some((at, fork)) = &self.attributes {
            inode.di_forkoff = le8(at / 8)?;
            inode.di_aformat = fork.format;
            inode.di_big_anextents = be32(fork.extents)?;
            put(&mut inode.literal, *at, &fork.bytes[..]);
        }
        Ok(sealed(inode))
    }
}

/// Encodes a free inode.
pub fn unused(number: u64, uuid: &[u8; 16]) -> Dinode {
    sealed(unused_fields(number, uuid))
}

fn unused_fields(number: u64, uuid: &[u8; 16]) -> Dinode {
    let mut inode = Dinode::new_zeroed();
    inode.di_magic = Dinode::MAGIC;
    inode.di_version = 3;
    inode.di_gen = U32::new(generation(number, uuid));
    inode.di_next_unlinked = U32::new(u32::MAX);
    inode.di_ino = U64::new(number);
    inode.di_uuid = *uuid;
    inode
}

fn sealed(mut inode: Dinode) -> Dinode {
    seal(inode.as_mut_bytes(), Dinode::CHECKSUM);
    inode
}

/// Returns the generation number of an inode, which makes handles of NFS unique. `mkfs.xfs` makes a
/// random one.
fn generation(number: u64, uuid: &[u8; 16]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(uuid), &number.to_be_bytes())
}

/// Returns the flags that XFS has.
pub fn flags(flags: Flags) -> u16 {
    let set = FLAGS.iter().filter(|(bit, _)| flags.bits() & bit != 0);
    set.fold(0, |sum, (_, flag)| sum | flag)
}

/// Returns a time in nanoseconds from [`Dinode::EPOCH`].
fn time(time: Timestamp) -> U64 {
    let seconds = time.seconds.saturating_add(Dinode::EPOCH).cast_unsigned();
    U64::new(seconds.saturating_mul(1_000_000_000) + u64::from(time.nanoseconds))
}

/// Returns the data of a device (`sysv_encode_dev`).
pub fn device(device: Device) -> Vec<u8> {
    (device.major << 18 | device.minor).to_be_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_nanoseconds_from_1901() {
        for (seconds, expected) in [
            (*TIMES.start(), 999_999_999),
            (0, 2_147_483_648_999_999_999),
            (*TIMES.end(), 18_446_744_072_999_999_999),
        ] {
            let stamp = Timestamp {
                seconds,
                nanoseconds: 999_999_999,
            };
            assert_eq!(time(stamp).get(), expected, "{seconds}");
        }
    }

    #[test]
    fn keeps_the_flags_that_xfs_has() {
        assert_eq!(flags(Flags::of_file(0x10)), di_flags::IMMUTABLE);
        assert_eq!(flags(Flags::of_directory(u32::MAX)), 0xf8);
        assert_eq!(flags(Flags::default()), 0);
    }

    #[test]
    fn device_numbers_are_in_14_and_18_bits() {
        let found = device(Device {
            major: 259,
            minor: 0x3_ffff,
        });
        assert_eq!(found, [0x04, 0x0f, 0xff, 0xff]);
    }
}
